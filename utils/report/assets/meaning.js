// A legend for a reader who cannot hover: every number of the page, in a sentence.

const ALWAYS = [
  ["± and intervals", "± is a standard error. Intervals are of 95 %; both know that conversations about one problem are alike."],
  ["n", "How many conversations (or turns, or problems) a number rests on."],
  ["Verdict", "What a judge says of a whole conversation: OK or REJECT. One that cannot be read is missing."],
  ["pp", "Percentage points: the difference of two percentages."],
];

function meaningSection(data) {
  const names = new Set(namesOf(data.runs));
  for (const run of data.runs) {
    for (const name of [...Object.keys(run.metrics), ...Object.keys(run.metrics.monitors || {}), ...run.curves.map((c) => c.name)]) names.add(name);
  }
  const rows = [...names].map((name) => [metricName(name), meaning(name)]).filter(([, says]) => says);
  return h("section", { id: "meaning" }, h("details", { class: "more" }, h("summary", null, "What the numbers mean"),
    h("dl", { class: "meaning" }, [...rows, ...ALWAYS].map(([name, says]) => h("div", null, h("dt", null, name), h("dd", null, says))))));
}

// On paper nothing can be opened: the legend is.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("#meaning details")) fold.open = true;
});
