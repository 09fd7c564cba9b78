// What training did: learning curves, and the reward by name.

const REWARD_COLOURS = { solve: "var(--solve)", pedagogy: "var(--reject)", thinking: "var(--think)", end_of_conversation: "var(--end)", length: "var(--muted)" };

// Curves first that tell the story; every other number of the log below, folded.
const STORY = ["reward_total", "solve_after", "solve_after_accepted", "solve_transfer", "transfer_gap", "leaked", "rejected", "turns", "tutor_tokens", "fits_its_problem", "distinct_openings", "question_share", "own_numbers", "kl", "loss", "reward"];

function curvesSection(data) {
  const charts = new Map();
  data.runs.forEach((run) => run.curves.forEach((curve) => {
    const key = `${curve.from === "log" ? "log/" : ""}${curve.name}`;
    if (!charts.has(key)) charts.set(key, { name: curve.name, from: new Set(), series: [] });
    const chart = charts.get(key);
    chart.from.add(curve.from);
    chart.series.push({ name: run.label, from: curve.from, colour: colourOf(run.group), points: curve.points });
  }));
  if (!charts.size) return null;
  const rank = (chart) => {
    const at = STORY.indexOf(chart.name);
    return (chart.from.has("log") ? 50 : 0) + (at < 0 ? 30 : at);
  };
  const sorted = [...charts.values()].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const first = sorted.filter((chart) => STORY.includes(chart.name) || chart.name.startsWith("reward_")).slice(0, 9);
  const rest = sorted.filter((chart) => !first.includes(chart));
  const more = h("div", { class: "charts" });
  const fold = h("details", { class: "more" }, h("summary", null, `${rest.length} more curves`), more);
  fold.addEventListener("toggle", () => { if (!more.childElementCount) append(more, rest.map(curveChart)); });
  return h("section", { id: "curves" }, h("h2", null, "Learning curves"), legend(data), h("div", { class: "charts" }, first.map(curveChart)), rest.length > 0 && fold);
}

// One metric; where held-out problems were evaluated, training stands pale behind them.
function curveChart(chart) {
  const both = chart.from.has("train") && chart.from.has("eval");
  const words = { train: "training", eval: "held-out", log: "logged" };
  const series = chart.series
    .map((s) => ({ ...s, pale: both && s.from === "train", name: both ? `${s.name}, ${words[s.from]}` : s.name }))
    .sort((a, b) => Number(b.pale) - Number(a.pale));
  const note = both ? "held-out, training pale" : { train: "training conversations", eval: "held-out problems", log: "logged" }[[...chart.from][0]];
  return lineChart({ title: metricName(chart.name), note, series, kind: METRICS[chart.name], name: chart.name });
}

const legend = (data) => data.plane.length > 1 &&
  h("ul", { class: "legend" }, data.plane.map((point, group) => h("li", null, swatch(group), point.label)));

function rewardsSection(data) {
  const rows = casesOf(data).map((one) => ({ one, parts: rewardParts(one), total: entryOf(one, "reward_total") })).filter((row) => row.total);
  if (!rows.length) return null;
  const side = (row, sign) => row.parts.filter((p) => p.value * sign > 0).reduce((sum, p) => sum + p.value, 0);
  const low = Math.min(0, ...rows.map((row) => side(row, -1)));
  const high = Math.max(0.2, ...rows.map((row) => side(row, 1)));
  const names = [...new Set(rows.flatMap((row) => row.parts.map((p) => p.name)))];
  return h("section", { id: "rewards" }, h("h2", null, "Reward by name"),
    h("p", { class: "lead" }, "Means over the conversations that were rewarded, after their weights. The upright mark is the total."),
    h("ul", { class: "legend" }, names.map((name) => {
      const says = hover(`reward_${name}`);
      const mark = h("i", { class: "swatch" });
      mark.style.setProperty("background", REWARD_COLOURS[name] || "var(--muted)");
      const value = rows.length === 1 && rows[0].parts.find((p) => p.name === name);
      return h("li", { title: says }, mark, metricName(name), value && ` ${value.value > 0 ? "+" : ""}${number(value.value)}`);
    })),
    h("div", { class: "stacks" }, rows.map(({ one, parts, total }) => h("div", { class: "stack-row" },
      rows.length > 1 && h("span", { class: "who" }, swatch(one.group), one.label), stackedBar(parts, total.mean, low, high), h("b", null, metricValue("reward_total", total.mean))))));
}

const rewardParts = (one) => Object.keys(one.metrics)
  .filter((name) => name.startsWith("reward_") && name !== "reward_total" && (entryOf(one, name) || {}).mean)
  .map((name) => ({ name: name.slice(7), value: entryOf(one, name).mean, colour: REWARD_COLOURS[name.slice(7)] || "var(--muted)" }));
