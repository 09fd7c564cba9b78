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

// A table that may be wider than the screen: it scrolls by itself, by keyboard too.
const scroller = (table) => h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, table);

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
