// What each student reacts to: solve rates after three kinds of help, from one fork.

const OF_STUDENTS = [
  ["before", "Before"], ["targeted", "Targeted"], ["misaligned", "Misaligned"], ["generic", "Generic"],
  ["selectivity", "Selectivity"], ["believed", "Believed before"], ["hold", "Held after generic"], ["in_character", "In character"],
];

const measured = (run) => Object.keys(run.metrics.students || {}).length > 0;

function studentsSection(data) {
  const able = data.runs.filter(measured);
  if (!able.length) return null;
  return h("section", { id: "students" }, h("h2", null, "Students"),
    h("p", { class: "lead" }, "Solved after a step of the own problem (targeted), of another problem (misaligned), after cheering (generic). Selectivity is targeted less the better of the others: 1 for a student whom only the own step helps, 0 for one who reacts to the form of a hint."),
    able.map((run) => studentTable(run, data.runs.length > 1)));
}

function studentTable(run, several) {
  const students = Object.entries(run.metrics.students);
  const shown = OF_STUDENTS.filter(([name]) => students.some(([, one]) => present(one[name].mean)));
  return scroller(h("table", { class: "students" },
    several && h("caption", null, run.label),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Student"), shown.map(([, words]) => h("th", { scope: "col" }, words)),
      h("th", { scope: "col" }, "Tokens"), h("th", { scope: "col" }, "n"))),
    h("tbody", null, students.map(([student, one]) => h("tr", null,
      h("th", { scope: "row" }, student.replaceAll("_", " "), h("small", null, [one.kind, one.held_out && "held out"].filter(Boolean).join(", "))),
      shown.map(([name]) => studentCell(name, one[name])),
      h("td", { title: one.cost.usd ? `$${one.cost.usd.toPrecision(3)} a conversation` : null }, count(Math.round(one.cost.tokens))),
      h("td", { title: `${one.failed} failed, ${one.cut} cut` }, count(one.conversations)))))));
}

function studentCell(name, entry) {
  if (!present(entry.mean)) return h("td", null, "–");
  const say = name === "selectivity" ? (value) => number(value, 2) : (value) => percent(value, 0);
  return h("td", { title: `n ${entry.n}, ${entry.clusters} problems` }, name === "selectivity" ? number(entry.mean, 2) : percent(entry.mean),
    present(entry.low) && h("small", null, `${say(entry.low)} to ${say(entry.high)}`));
}
