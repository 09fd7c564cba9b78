// Small helpers: elements from data (never from markup), numbers as people read them, the theme.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN_CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, action] of Object.entries(value)) element.addEventListener(event, action);
    } else if (name === "style") {
      for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    } else {
      element.setAttribute(name, value === true ? "" : legible(String(value)));
    }
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(legible(String(child))));
  }
}

const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

function replace(element, ...children) {
  element.textContent = "";
  append(element, children);
  return element;
}

// Control and direction characters would act on the page unseen: every text and attribute of the
// page shows them instead.
function legible(text) {
  return text.replaceAll("\r\n", "\n").replace(HIDDEN_CONTROLS, (c) => {
    const code = c.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    if (code === 0x200d || code === 0x200c) return c; // joiners that scripts and emoji need
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

const present = (value) => value !== null && value !== undefined;
const percent = (value, digits = 1) =>
  present(value) ? `${(100 * value).toFixed(digits)}\u202f%` : "–";
const points = (value) =>
  present(value) ? `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}` : "–";

function number(value, digits = 3) {
  if (!present(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  let text;
  if (size >= 1e5 || size < 1e-3) text = value.toExponential(1);
  else text = String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

const count = (value) => value.toLocaleString("en-US");

// How each metric is written, and which way is better (1 up, -1 down, 0 neither).
const METRICS = {
  solve_before: { name: "Solved before", share: true, better: 0 },
  solve_after: { name: "Solved after", share: true, better: 1 },
  delta: { name: "Gain", share: true, signed: true, better: 1 },
  normalised_gain: { name: "Normalised gain", better: 1 },
  leaked: { name: "Leaked", share: true, better: -1 },
  rejected: { name: "Rejected", share: true, better: -1 },
  leaked_any: { name: "Leaked, any verdict", share: true, better: -1 },
  rejected_any: { name: "Rejected, any verdict", share: true, better: -1 },
  solve_after_accepted: { name: "Solved after, accepted only", share: true, better: 1 },
  delta_accepted: { name: "Gain, accepted only", share: true, signed: true, better: 1 },
  solve_same_before: { name: "The problem itself, before", share: true, better: 0 },
  solve_same: { name: "The problem itself, after", share: true, better: 1 },
  gain_same: { name: "Normalised gain on it", share: true, signed: true, better: 1 },
  solve_same_gated: { name: "Solved, 0 where leaked", share: true, better: 1 },
  gain_same_gated: { name: "Normalised gain, 0 where leaked", share: true, signed: true, better: 1 },
  solve_transfer_before: { name: "Another problem, before", share: true, better: 0 },
  solve_transfer: { name: "Another problem, after", share: true, better: 1 },
  solve_transfer_accepted: { name: "Another problem, accepted only", share: true, better: 1 },
  gain_transfer: { name: "Normalised gain on another", share: true, signed: true, better: 1 },
  solve_transfer_gated: { name: "Another problem, 0 where leaked", share: true, better: 1 },
  gain_transfer_gated: { name: "Gain on another, 0 where leaked", share: true, signed: true, better: 1 },
  transfer_gap: { name: "Transfer gap", better: -1 },
  turns_hidden: { name: "Messages hidden in the test", share: true, better: 0 },
  fading_slope: { name: "Tokens more from problem to problem", better: -1 },
  retention: { name: "Kept until the next problem", better: 1 },
  problems_reached: { name: "Problems come to", share: true, better: 1 },
  missing: { name: "Verdict missing", share: true, better: -1 },
  ped_rm_micro: { name: "Ped-RM, turns", better: 1 },
  ped_rm_macro: { name: "Ped-RM, conversations", better: 1 },
  turns: { name: "Messages", better: 0 },
  tutor_tokens: { name: "Tutor tokens", better: 0 },
  accuracy: { name: "Accuracy", share: true, better: 1 },
  win_rate: { name: "Beats the human turn", share: true, better: 1 },
  f1_wrong: { name: "F1, wrong solutions found", share: true, better: 1 },
  control_delta: { name: "Gain without tutor", share: true, signed: true, better: 0 },
  control_difference: { name: "Tutor over control", share: true, signed: true, better: 1 },
  distinct_openings: { name: "Distinct openings", share: true },
  own_numbers: { name: "Uses the problem's numbers", share: true },
  fits_its_problem: { name: "Fits its own problem" },
  question_share: { name: "Turns that ask", share: true },
  turn_length: { name: "Words in a tutor turn" },
  repeated_turns: { name: "Repeated turns", share: true },
  ended_early: { name: "Ended in the first turn", share: true },
  silent_turns: { name: "Silent turns", share: true },
  groups_without_spread: { name: "Groups without spread", share: true },
  adapts_to_students: { name: "Adapts to students" },
  least_helped_student: { name: "Gain of the least helped student", share: true, signed: true },
  least_gradient_share: { name: "Least share of the gradient", share: true },
  kl: { name: "KL to the start" },
};

function metricName(name) {
  if (name.startsWith("accuracy_")) return `Accuracy, ${name.slice(9)}`;
  if (METRICS[name]) return METRICS[name].name;
  const words = name.replace(/^reward_/, "reward: ").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const OF_A_POSITION = { solve: { share: true, better: 1 }, leaked: { share: true, better: -1 } };

function kindOf(name) {
  const place = /^(solve)_(?:alone|helped)_\d+$|^(leaked)_\d+$/.exec(name);
  if (place) return OF_A_POSITION[place[1] || place[2]];
  return METRICS[name.startsWith("accuracy_") ? "accuracy" : name] || {};
}

function metricValue(name, value) {
  const kind = kindOf(name);
  if (!present(value)) return "–";
  if (kind.signed) return `${points(value)}\u202fpp`;
  return kind.share ? percent(value) : Math.abs(value) >= 0.001 && Math.abs(value) < 1000 ? value.toPrecision(3).replace("-", "−") : number(value);
}

// A standard error: two digits that count.
const spreadText = (value) => (value >= 0.001 && value < 100 ? value.toPrecision(2) : number(value, 2));

// Colours of experiments (seeds of one share it): distinct in both themes, and for most
// colour-blind readers.
const COLOURS = 8;
const colourOf = (group) => `var(--run-${group % COLOURS})`;

function themeButton() {
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const button = h("button", { type: "button", class: "ghost", id: "theme" });
  const label = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} theme`);
  };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  label();
  return button;
}

let tooltip = null;

function showTooltip(event, lines) {
  if (!tooltip) {
    tooltip = h("div", { class: "tooltip", role: "status" });
    document.body.append(tooltip);
  }
  replace(tooltip, lines.map((line) => h("div", null, line)));
  tooltip.hidden = false;
  const box = tooltip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
  const top = event.clientY + 18 + box.height > innerHeight
    ? event.clientY - box.height - 12
    : event.clientY + 18;
  tooltip.style.setProperty("left", `${left}px`);
  tooltip.style.setProperty("top", `${top}px`);
}

function hideTooltip() {
  if (tooltip) tooltip.hidden = true;
}
