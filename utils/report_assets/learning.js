// What training did: learning curves, and the reward by name.

const REWARD_COLOURS = { solve: "var(--solve)", pedagogy: "var(--reject)", thinking: "var(--think)", end_of_conversation: "var(--end)", length: "var(--muted)" };

// Curves first that tell the story; every other number of the log below, folded.
const STORY = ["reward_total", "solve_after", "leaked", "rejected", "turns", "tutor_tokens", "own_numbers", "distinct_openings", "question_share", "kl", "loss", "reward"];

function curvesSection(data) {
  const charts = new Map();
  data.runs.forEach((run) => run.curves.forEach((curve) => {
    const key = `${curve.from}/${curve.name}`;
    if (!charts.has(key)) charts.set(key, { name: curve.name, from: curve.from, series: [] });
    charts.get(key).series.push({ name: run.label, colour: colourOf(run.group), points: curve.points });
  }));
  if (!charts.size) return null;
  const rank = (chart) => {
    const at = STORY.indexOf(chart.name);
    return (chart.from === "log" ? 50 : 0) + (at < 0 ? 30 : at);
  };
  const sorted = [...charts.values()].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const first = sorted.filter((chart) => STORY.includes(chart.name) || chart.name.startsWith("reward_")).slice(0, 12);
  const rest = sorted.filter((chart) => !first.includes(chart));
  const notes = { train: "training conversations", eval: "held-out problems", log: "logged" };
  const draw = (chart) => lineChart({ title: metricName(chart.name), note: notes[chart.from], series: chart.series, kind: METRICS[chart.name], name: chart.name });
  const more = h("div", { class: "charts" });
  const fold = h("details", { class: "more" }, h("summary", null, `${rest.length} more curves`), more);
  fold.addEventListener("toggle", () => { if (!more.childElementCount) append(more, rest.map(draw)); });
  return h("section", { id: "curves" }, h("h2", null, "Learning curves"), legend(data), h("div", { class: "charts" }, first.map(draw)), rest.length > 0 && fold);
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
    h("p", { class: "lead" }, "Means over the conversations that were rewarded, after their weights. The dark mark is the total."),
    h("ul", { class: "legend" }, names.map((name) => {
      const mark = h("i", { class: "swatch" });
      mark.style.setProperty("background", REWARD_COLOURS[name] || "var(--muted)");
      return h("li", null, mark, metricName(name));
    })),
    h("div", { class: "stacks" }, rows.map(({ one, parts, total }) => h("div", { class: "stack-row" },
      rows.length > 1 && h("span", { class: "who" }, swatch(one.group), one.label), stackedBar(parts, total.mean, low, high), h("b", null, number(total.mean))))));
}

const rewardParts = (one) => Object.keys(one.metrics)
  .filter((name) => name.startsWith("reward_") && name !== "reward_total" && (entryOf(one, name) || {}).mean)
  .map((name) => ({ name: name.slice(7), value: entryOf(one, name).mean, colour: REWARD_COLOURS[name.slice(7)] || "var(--muted)" }));
