// Everything above the conversations but the charts: headline numbers, monitors, groups.

const BENCHMARK = /^(accuracy|win_rate|f1_|bleu)/;
const HEADLINE = ["solve_before", "solve_after", "delta", "control_delta", "control_difference", "solve_after_accepted", "delta_accepted", "normalised_gain", "solve_transfer_before", "solve_transfer", "solve_transfer_accepted", "gain_same", "gain_transfer", "gain_transfer_gated", "transfer_gap", "leaked", "rejected", "leaked_any", "rejected_any", "missing", "ped_rm_micro", "ped_rm_macro", "turns", "tutor_tokens"];

const entryOf = (one, name) => {
  const entry = one.metrics[name];
  return entry && present(entry.mean) ? entry : null;
};

// What is compared: each experiment once, repetitions by seed as the mean over them.
function casesOf(data) {
  return data.plane.map((point, group) => {
    const runs = point.runs.map((i) => data.runs[i]);
    const monitors = runs.map((run) => run.metrics.monitors);
    return runs.length === 1
      ? { ...runs[0], group, seeds: 1 }
      : { label: point.label, name: `${runs.length} seeds`, group, seeds: runs.length, curves: runs[0].curves, metrics: { ...overSeeds(runs.map((run) => run.metrics)), monitors: overSeeds(monitors) } };
  });
}

function overSeeds(all) {
  const found = {};
  for (const name of Object.keys(all[0])) {
    const means = all.map((one) => (one[name] || {}).mean).filter(present);
    if (!means.length) continue;
    const mean = means.reduce((a, b) => a + b, 0) / means.length;
    const square = means.reduce((a, b) => a + (b - mean) ** 2, 0);
    const se = means.length > 1 ? Math.sqrt(square / (means.length - 1) / means.length) : null;
    const alarm = all.map((one) => one[name].alarm).find(Boolean);
    found[name] = { mean, se, n: means.length, bounds: all[0][name].bounds, state: all[0][name].state, alarm };
  }
  return found;
}

function header(data) {
  const only = data.runs.length === 1 ? data.runs[0] : null;
  const shown = data.runs.reduce((sum, run) => sum + run.conversations, 0);
  return h("header", { class: "top" },
    h("div", { class: "brand" },
      h("p", { class: "kicker" }, only ? (only.kind === "eval" ? "Evaluation" : "Training run") : "Runs side by side"),
      h("h1", null, data.title),
      h("p", { class: "sub" }, !only && seedsOf(data), `${count(shown)} ${only && ownNames(only).length ? "answers" : "conversations"}`, only && endings(only)), only && h("p", { class: "sub" }, whoTakesPart(only))),
    h("nav", { "aria-label": "Sections" }, navigation(data), themeButton()));
}

// What a reader asks first of a run: the penalty, and which models took part.
function whoTakesPart(run) {
  const set = Object.fromEntries(run.settings);
  const short = (name) => name.split("/").filter(Boolean).slice(-2).join("/");
  const models = ["teacher", "student", "judge"].map((role) => [role === "teacher" ? "tutor" : role, set[`${role}_model.model_name_or_path`]]);
  const lambda = set["generation.extra_penalty_for_rejected_judges"];
  return [lambda && `λ ${lambda}, ${set["generation.ignore_rejected_judge"] === "False" ? "hard" : "soft"}`,
    ...models.filter(([, name]) => name && name !== "None" && name !== "???").map(([role, name]) => `${role} ${short(name)}`)].filter(Boolean).join(" · ");
}

// How many experiments, and how often each was repeated, where it was.
function seedsOf(data) {
  const seeds = [...new Set(data.plane.map((point) => point.runs.length))];
  if (seeds.length === 1 && seeds[0] === 1) return null;
  return `${data.plane.length} settings, ${seeds.length === 1 ? `${seeds[0]} seeds each` : "several seeds"} · `;
}

function endings(run) {
  const words = { tutor_ended: "ended by the tutor", student_ended: "ended by the student", max_turns: "out of turns", max_tokens: "out of tokens", error: "failed" };
  const all = Object.values(run.metrics.ended).reduce((a, b) => a + b, 0);
  return Object.entries(run.metrics.ended).map(([reason, n]) => ` · ${percent(n / all, 0)} ${words[reason] || reason}`).join("");
}

// A benchmark's own numbers; its other metrics are those of a dialog, and it has none.
const ownNames = (run) => Object.keys(run.metrics).filter((name) => BENCHMARK.test(name));

function namesOf(runs) {
  const own = [...new Set(runs.flatMap(ownNames))];
  return own.length ? [...own, "ped_rm_micro", "ped_rm_macro"] : HEADLINE;
}

function navigation() {
  const sections = [["students", "Students"], ["sessions", "Sessions"], ["headline", "Numbers"], ["plane", "Trade-off"], ["curves", "Curves"], ["rewards", "Rewards"], ["monitors", "Monitors"], ["calibration", "Judges"], ["groups", "Groups"], ["meaning", "Meaning"], ["conversations", "Conversations"]];
  return h("ul", { id: "nav" }, sections.map(([id, name]) => h("li", { "data-for": id }, h("a", { href: `#${id}` }, name))));
}

function alarms(data) {
  const found = data.runs.flatMap((run) => run.metrics.alarms.map((text) => ({ run, text })));
  if (!found.length) return null;
  return h("aside", { class: "alarms", "aria-label": "Alarms" },
    h("h2", null, `${found.length} ${found.length === 1 ? "alarm" : "alarms"}`),
    h("ul", null, found.map(({ run, text }) => {
      const [name, ...rest] = text.split(": ");
      return h("li", null, data.runs.length > 1 && h("b", null, `${run.label} · `), h("b", null, metricName(name)), `: ${rest.join(": ")}`);
    })));
}

// What a reader of the numbers should know: which stand beside no published ones, and why.
function notes(data) {
  const found = [...new Set(data.runs.flatMap((run) => (run.metrics.notes || []).map((text) => (data.runs.length > 1 ? `${run.label}: ${text}` : text))))];
  return found.length ? h("ul", { class: "notes", "aria-label": "Notes" }, found.map((text) => h("li", null, `* ${text}`))) : null;
}

const starred = (name, entry) => `${metricName(name)}${entry.comparable === false ? " *" : ""}`;

function headline(data) {
  const cases = casesOf(data);
  if (data.runs.length === 1) return h("section", { id: "headline", "aria-label": "Numbers" }, tiles(data.runs[0]), notes(data));
  const all = data.runs.map((run) => ({ ...run, seeds: 1 }));
  return h("section", { id: "headline", "aria-label": "Numbers" }, runTable(cases), notes(data),
    cases.length < all.length && h("details", { class: "more" }, h("summary", null, `Each of the ${all.length} runs`), runTable(all)));
}

function tiles(run) {
  const wanted = [...namesOf([run]).filter((name) => !["missing", "leaked_any", "rejected_any", "ped_rm_macro", "tutor_tokens", "solve_before", "solve_transfer_before", "gain_same"].includes(name)), "missing"];
  const tile = (name) => {
    const entry = entryOf(run, name);
    if (!entry || (name === "missing" && entry.mean === 0)) return null;
    const first = { solve_after: "solve_before", solve_transfer: "solve_transfer_before" }[name];
    const before = first ? entryOf(run, first) : null;
    const interval = present(entry.low) ? `95 % interval ${metricValue(name, entry.low)} to ${metricValue(name, entry.high)}` : "";
    return h("div", { class: "tile", title: hover(name, interval) },
      h("p", { class: "what" }, before ? (name === "solve_after" ? "Solved, before → after the conversation" : "Another problem, before → after") : starred(name, entry)),
      h("p", { class: "value" }, before && h("span", { class: "from" }, percent(before.mean, 0), " → "), before ? percent(entry.mean, 0) : metricValue(name, entry.mean)),
      h("p", { class: "spread" }, present(entry.se) ? `± ${kindOf(name).share ? `${(100 * entry.se).toFixed(1)} pp` : spreadText(entry.se)}` : "", h("span", null, `n ${count(entry.n)}`)),
      share(name, entry));
  };
  return h("div", { class: "tiles" }, wanted.map(tile));
}

function share(name, entry) {
  const kind = kindOf(name);
  if (!kind.share || kind.signed) return h("div", { class: "bar empty", "aria-hidden": "true" });
  const bar = h("div", { class: `bar ${kind.better < 0 ? "bad" : "good"}`, "aria-hidden": "true" }, h("i"));
  bar.firstChild.style.setProperty("width", `${Math.min(100, 100 * entry.mean)}%`);
  return bar;
}

function runTable(cases) {
  const names = namesOf(cases).filter((name) => cases.some((one) => entryOf(one, name)) &&
    (name !== "missing" || cases.some((one) => (entryOf(one, name) || {}).mean > 0)));
  return scroller(h("table", { class: "runs" },
    h("caption", { class: "hidden" }, "Metrics with standard errors"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Run"), names.map((name) => h("th", { scope: "col", title: hover(name) }, metricName(name))))),
    h("tbody", null, cases.map((one) => h("tr", null,
      h("th", { scope: "row" }, swatch(one.group), h("span", null, one.label), one.label !== one.name && h("small", null, one.name)),
      names.map((name) => metricCell(one, name)))))));
}

function swatch(group) {
  const mark = h("i", { class: "swatch", "aria-hidden": "true" });
  mark.style.setProperty("background", colourOf(group));
  return mark;
}

function metricCell(one, name) {
  const entry = entryOf(one, name);
  if (!entry) return h("td", null, "–");
  const interval = present(entry.low) ? `95 % interval ${metricValue(name, entry.low)} to ${metricValue(name, entry.high)}, ` : "";
  const share = kindOf(name).share;
  return h("td", { title: `${interval}n ${entry.n}${one.seeds > 1 ? " seeds" : ""}` }, metricValue(name, entry.mean),
    present(entry.se) && h("small", null, `± ${share ? (100 * entry.se).toFixed(1) : spreadText(entry.se)}`));
}

function monitorsSection(data) {
  const cases = casesOf(data);
  const names = [...new Set(cases.flatMap((one) => Object.keys(one.metrics.monitors)))]
    .filter((name) => cases.some((one) => present((one.metrics.monitors[name] || {}).mean)));
  if (!names.length) return null;
  return h("section", { id: "monitors" }, h("h2", null, "Monitors"),
    h("p", { class: "lead" }, "Signs of a tutor that is paid for something other than teaching. Each has bounds of its own, said below it; a change inside them is no sign. Where one rings, read conversations."),
    h("div", { class: "monitors" }, names.map((name) => h("div", { class: "monitor", title: hover(name) }, h("h3", null, metricName(name)),
      cases.map((one) => monitorRow(one, name, cases.length > 1)), monitorBounds(cases, name)))), agreementTable(data));
}

function monitorRow(one, name, several) {
  const reading = one.metrics.monitors[name];
  if (!reading || !present(reading.mean)) return null;
  const curve = one.seeds === 1 && (one.curves.find((c) => c.name === name && c.from !== "eval") || one.curves.find((c) => c.name === name));
  return h("div", { class: reading.alarm ? "reading rings" : "reading", title: reading.alarm },
    several && h("span", { class: "who" }, swatch(one.group), one.label),
    h("b", null, metricValue(name, reading.mean)),
    present(reading.start) && h("small", null, `from ${metricValue(name, reading.start)}`),
    curve && sparkline(curve.points, reading.alarm ? "var(--reject)" : colourOf(one.group)),
    reading.alarm ? h("em", null, "alarm") : h("small", { class: "state" }, reading.state));
}

// When a monitor rings; runs of one page share their monitors.
function monitorBounds(cases, name) {
  const one = cases.find((each) => each.metrics.monitors[name]);
  const bounds = one && one.metrics.monitors[name].bounds;
  return bounds ? h("p", { class: "bounds" }, bounds) : null;
}

function agreementTable(data) {
  const rows = data.runs.flatMap((run) => run.metrics.agreement.map((entry) => ({ run, entry })));
  if (!rows.length) return null;
  return h("details", { class: "more" }, h("summary", null, "Agreement of judges"), scroller(h("table", null,
    h("thead", null, h("tr", null, (data.runs.length > 1 ? ["Run"] : []).concat(["One", "Another", "Agree", "Kappa", "95 % interval", "n"]).map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", null, rows.map(({ run, entry }) => h("tr", null, data.runs.length > 1 && h("td", null, run.label), h("td", null, entry.first), h("td", null, entry.second), h("td", null, percent(entry.share)), h("td", null, number(entry.kappa, 2)),
      h("td", null, present(entry.low) ? `${number(entry.low, 2)} to ${number(entry.high, 2)}` : entry.clusters < data.few ? "few problems" : "–"), h("td", null, count(entry.n))))))));
}

// Judges against people: the folder's calibration.json.
function calibrationSection(data) {
  const found = data.runs.flatMap((run) => run.calibrations.map((entry) => ({ run, entry })));
  if (!found.length) return null;
  const several = data.runs.length > 1;
  const columns = ["Judge", "Labels", "Precision", "Recall", "F1", "Kappa", "Unreadable", "Attempts agree", "Turns", "Cost"];
  return h("section", { id: "calibration" }, h("h2", null, "Judges against people"),
    h("p", { class: "lead" }, "What a judge rejects beside what people reject; intervals of 95 % draw whole conversations."),
    scroller(h("table", null,
      h("thead", null, h("tr", null, (several ? ["Run"] : []).concat(columns).map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, found.map(({ run, entry }) => h("tr", null, several && h("td", null, run.label), h("td", null, entry.judge), h("td", null, entry.labels),
        ["precision", "recall", "f1", "kappa"].map((name) => measureCell(entry.measures[name])),
        h("td", null, percent(entry.unreadable)), h("td", null, present(entry.attempts_agree) ? percent(entry.attempts_agree) : "–"),
        h("td", null, count(entry.turns)), h("td", null, entry.usage.cost_usd ? `$${entry.usage.cost_usd.toPrecision(3)}` : "–")))))),
    found.map(({ entry }) => h("details", { class: "more" }, h("summary", null, `What ${entry.judge} rejects in ${entry.labels}`), h("table", null,
      h("thead", null, h("tr", null, ["People say", "Rejected", "Turns"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, Object.entries(entry.groups).map(([name, group]) => h("tr", null, h("td", null, name || "–"), h("td", null, count(group.rejected)), h("td", null, count(group.turns)))))))));
}

function measureCell(measure) {
  if (!present(measure.value)) return h("td", null, "–");
  return h("td", null, number(measure.value, 2), present(measure.low) && h("small", null, `${number(measure.low, 2)} to ${number(measure.high, 2)}`));
}

function groupsSection(data) {
  const parts = data.runs.map((run) => [run, Object.entries(run.metrics.by)
    .filter(([, groups]) => Object.keys(groups).length > 1)
    .map(([grouping, groups]) => groupTable(run, grouping, groups))]).filter(([, tables]) => tables.length);
  if (!parts.length) return null;
  const folds = parts.map(([run, tables]) => {
    const inner = h("div", { class: "group-tables" }, tables);
    return parts.length === 1 ? inner : h("details", { class: "more" }, h("summary", null, swatch(run.group), run.label, run.label !== run.name && ` (${run.name})`), inner);
  });
  const many = folds.length > 6;
  return h("section", { id: "groups" }, h("h2", null, "By group"),
    many ? h("details", { class: "more" }, h("summary", null, `Each of the ${folds.length} runs`), folds) : folds);
}

function groupTable(run, grouping, groups) {
  const names = ["solve_after", "delta", "solve_transfer", "leaked", "rejected"].filter((name) => Object.values(groups).some((g) => present((g[name] || {}).mean)));
  return scroller(h("table", null,
    h("caption", null, `By ${grouping}`),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, ""), names.map((name) => h("th", { scope: "col", title: hover(name) }, metricName(name))), h("th", { scope: "col", title: "Conversations in the group." }, "n"))),
    h("tbody", null, Object.entries(groups).map(([group, entries]) => h("tr", null, h("th", { scope: "row" }, group.split(/(?<=[_:/])/).map((part) => [part, h("wbr")])),
      names.map((name) => present((entries[name] || {}).mean)
        ? h("td", { title: intervalText(name, entries[name].low, entries[name].high).trim() || null }, metricValue(name, entries[name].mean), whisker(entries[name], name === "delta" ? -1 : 0, 1, colourOf(run.group)))
        : h("td", null, "–")), h("td", null, count((entries.turns || {}).n || 0)))))));
}

function settingsSection(data) {
  const able = data.runs.filter((run) => run.settings.length);
  if (!able.length) return null;
  return h("section", { id: "settings" }, able.map((run) => h("details", { class: "more" },
    h("summary", null, `Settings of ${run.name}`),
    h("dl", { class: "settings" }, run.settings.map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, value === "" ? "(empty)" : value)))))));
}
