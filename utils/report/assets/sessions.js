// Sessions: help and solve rates by position, and a conversation problem by problem.

const BY_POSITION = [
  ["solve_alone", "Solved alone"], ["solve_helped", "Solved after the talk"], ["support_tokens", "Tutor's tokens"],
  ["hints", "Tutor's turns"], ["leaked", "Leaked"],
];
const OF_A_SESSION = [["fading_slope", "Tokens more from problem to problem"], ["retention", "Kept until the next problem"]];

const positionsOf = (one) => {
  let length = 1;
  while (entryOf(one, `solve_alone_${length + 1}`) || entryOf(one, `support_tokens_${length}`)) length += 1;
  return length;
};

function sessionsSection(data) {
  const able = casesOf(data).filter((one) => positionsOf(one) > 1);
  if (!able.length) return null;
  return h("section", { id: "sessions" }, h("h2", null, "Sessions"),
    h("p", { class: "lead" }, "Several problems in one conversation. The tutor talks about each but the last one, which the student solves alone: that is the test. Alone means before a word about that problem."),
    able.map((one) => sessionTable(one, data.runs.length > 1)));
}

function sessionTable(one, several) {
  const length = positionsOf(one);
  const places = Array.from({ length }, (_, i) => i + 1);
  const most = Math.max(1, ...places.map((i) => (entryOf(one, `support_tokens_${i}`) || { mean: 0 }).mean));
  const whole = OF_A_SESSION.filter(([name]) => entryOf(one, name));
  return scroller(h("table", { class: "students sessions" },
    several && h("caption", null, one.label),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Problem"),
      places.map((i) => h("th", { scope: "col" }, i === length ? `${i}, without tutor` : String(i))))),
    h("tbody", null, BY_POSITION.map(([name, words]) => h("tr", null, h("th", { scope: "row" }, words),
      places.map((i) => positionCell(`${name}_${i}`, entryOf(one, `${name}_${i}`), name === "support_tokens" && most))))),
    whole.length > 0 && h("tfoot", null, whole.map(([name, words]) => h("tr", null, h("th", { scope: "row" }, words),
      h("td", { colspan: String(length) }, metricValue(name, entryOf(one, name).mean)))))));
}

function positionCell(name, entry, most) {
  if (!entry) return h("td", null, "–");
  const bar = most ? h("i", { class: "support", "aria-hidden": "true" }) : null;
  if (bar) bar.style.setProperty("width", `${Math.max(2, (100 * entry.mean) / most)}%`);
  return h("td", { title: `n ${entry.n}` }, bar, metricValue(name, entry.mean), present(entry.se) && h("small", null, `± ${kindOf(name).share ? percent(entry.se) : spreadText(entry.se)}`));
}

// What was said, under the problem that it is about where there are several.
function talkView(body, student, view) {
  const most = mostCredit(body.messages);
  const turns = (messages) => h("ol", { class: "turns" }, messages.map((message) => turn(message, student, view, most)));
  const session = body.session || [];
  if (!session.length) return [turns(body.messages)];
  const solved = body.session_solutions || [];
  const talks = session.map((taught, i) => h("section", { class: "taught", "aria-label": `Problem ${i + 1}` },
    h("h3", null, `Problem ${i + 1} of ${session.length + 1}`, h("small", null, taughtFacts(taught))),
    h("div", { class: "prose statement", dir: "auto" }, prose(taught.problem, view.text)),
    h("p", { class: "answer" }, "Answer ", h("b", { dir: "auto" }, mathAnswer(taught.answer))),
    solved[i] && solutionsView("Alone, before the talk", solved[i].alone),
    turns(body.messages.filter((message) => (message.problem || 0) === i)),
    h("p", { class: "ending" }, ENDINGS[taught.stop] || taught.stop),
    solved[i] && solutionsView("After the talk", solved[i].helped)));
  return [...talks, h("h3", null, `Problem ${session.length + 1} of ${session.length + 1}, without the tutor`)];
}

function taughtFacts(taught) {
  const found = [`${count(taught.tokens)} tokens of the tutor`];
  if (present(taught.alone)) found.push(`${percent(taught.alone, 0)} alone`);
  if (present(taught.helped)) found.push(`${percent(taught.helped, 0)} after the talk`);
  return found.join(" · ");
}
