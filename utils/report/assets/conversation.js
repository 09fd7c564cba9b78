// One conversation: the problem, who said what, what the judges thought, what the student then did.

const ENDINGS = {
  tutor_ended: "The tutor ended the conversation.",
  student_ended: "The student ended the conversation.",
  max_turns: "The conversation ran out of turns.",
  max_tokens: "The conversation ran out of tokens.",
  error: "The conversation failed.",
};

function conversationView(data, store, i, body, view) {
  const index = store.index;
  const student = body.student || "Student";
  return [
    h("header", { class: "problem" },
      h("p", { class: "kicker" }, facts(data, index, i, body).join(" · ")),
      h("div", { class: "prose statement", dir: "auto" }, prose(body.problem, view.text)),
      h("p", { class: "answer" }, "Answer ", h("b", { dir: "auto" }, mathAnswer(body.answer)))),
    scoreLine(index, i, body),
    ...talkView(body, student, view),
    h("p", { class: "ending" }, !(body.session || []).length && (ENDINGS[index.stop[i]] || index.stop[i]), body.error && h("code", null, body.error)),
    body.excluded && h("p", { class: "ending" }, `Left out of its group: ${body.excluded.replaceAll("_", " ")}.`),
    verdictsView(body.verdicts, view),
    ...testsView(body),
    paid(body),
  ];
}

function facts(data, index, i, body) {
  const found = [index.type[i] === "guided" ? "Tutor opens" : "Student's attempt first", index.problem[i]];
  if (data.runs.length > 1) found.unshift(data.runs[index.run[i]].label);
  if (index.source[i]) found.push(index.source[i]);
  if (varies(index.step)) found.push(`step ${index.step[i]}`);
  if (index.sample[i]) found.push(`sample ${index.sample[i]}`);
  if (body.help) found.push(`${body.help} help`);
  if (body.persona) found.push(body.persona.replaceAll("_", " "));
  return found;
}

const varies = (column) => column.some((value) => value !== column[0]);

function mathAnswer(answer) {
  const bare = /[\\^_{}]/.test(answer) && !answer.includes("$");
  return bare ? typeset(answer, false) || answer : prose(answer);
}

function scoreLine(index, i, body) {
  const parts = Object.entries(body.rewards).filter(([name, value]) => name !== "total" && value !== 0);
  return h("div", { class: "scores" },
    dumbbell(index.before[i], index.after[i]),
    index.transfer_after && dumbbell(index.transfer_before[i], index.transfer_after[i], "another problem, "),
    h("div", { class: "rewards" },
      present(body.rewards.total) && h("span", { class: "total", title: hover("reward_total") }, "Reward ", h("b", null, number(body.rewards.total))),
      parts.map(([name, value]) => h("span", { class: value < 0 ? "chip minus" : "chip plus", title: hover(`reward_${name}`) }, `${name.replaceAll("_", " ")} ${value > 0 ? "+" : ""}${number(value)}`))));
}

// Solve rate before and after on one scale.
function dumbbell(before, after, what = "") {
  if (!present(before) && !present(after)) return null;
  const x = scale(0, 1, 8, 172);
  const [from, to] = [before ?? after, after ?? before];
  return h("div", { class: "dumbbell" },
    svg("svg", { viewBox: "0 0 180 20", role: "img", "aria-label": `${what}solved ${percent(before, 0)} before, ${percent(after, 0)} after` },
      svg("line", { class: "grid", x1: 8, x2: 172, y1: 10, y2: 10 }),
      svg("line", { class: to < from ? "change worse" : "change", x1: x(from), x2: x(to), y1: 10, y2: 10 }),
      present(before) && svg("circle", { class: "before", cx: x(before), cy: 10, r: 5 }),
      present(after) && svg("circle", { class: to < from ? "after worse" : "after", cx: x(after), cy: 10, r: 6 })),
    h("span", null, `${what}${present(before) ? percent(before, 0) : "?"} → ${present(after) ? percent(after, 0) : "?"} solved`));
}

const mostCredit = (messages) => Math.max(1, ...messages.map((m) => Math.abs(m.credit || 0)));

// What the turn's tokens were pushed by: left of the middle down, right of it up.
function creditBar(message, most) {
  if (!present(message.credit)) return null;
  const share = (Math.abs(message.credit) / most) * 50;
  const side = message.credit < 0 ? "down" : "up";
  const cost = message.cost ? `, a cost of ${number(message.cost)} in it` : "";
  return h("p", { class: "credit", title: `advantage of this turn${cost}` },
    h("span", { class: "gauge", "aria-hidden": "true" }, h("i", { class: side, style: { width: `${share}%` } })),
    `advantage ${message.credit > 0 ? "+" : ""}${number(message.credit)}${cost}`);
}

function turnRules(message, view) {
  return (message.rules || []).map(([rule, decision, why]) => {
    const kind = { OK: "ok", REJECT: "reject" }[decision] || "none";
    return h("details", { class: `turnrule ${kind}` },
      h("summary", null, `${rule.replaceAll("_", " ")}: ${decision || "no verdict"}`),
      why && h("div", { class: "prose", dir: "auto" }, prose(why, view.text)));
  });
}

function turn(message, student, view, most) {
  const tutor = message.role === "teacher";
  const shaded = tutor && view.shade && message.pieces;
  const text = shaded
    ? h("div", { class: "prose tokens" }, tokenSpans(message.pieces, message.logprobs))
    : h("div", { class: "prose", dir: "auto" }, message.text ? prose(message.text, view.text) : h("i", { class: "nothing" }, "(nothing that the other could see)"));
  const unheard = message.withheld || message.scripted ? " unheard" : "";
  return h("li", { class: `turn ${tutor ? "tutor" : "student"}${unheard}` },
    h("p", { class: "speaker" }, tutor ? "Tutor" : student, h("small", null, turnFacts(message))),
    message.hidden && !shaded && h("details", { class: "think", open: Boolean(view.text && message.hidden.toLowerCase().includes(view.text)) },
      h("summary", null, "Hidden thinking"), h("div", { class: "prose", dir: "auto" }, prose(message.hidden, view.text))),
    h("div", { class: "bubble" }, text),
    tutor && creditBar(message, most),
    tutor && turnRules(message, view));
}

function turnFacts(message) {
  const found = [];
  if (message.tokens) found.push(`${message.tokens} tokens`);
  if (message.cut) found.push("cut off");
  if (message.withheld) found.push("not shown to the student");
  if (message.scripted) found.push("scripted, in place of an answer");
  if (present(message.logprob)) found.push(`mean logprob ${number(message.logprob, 2)}`);
  if (present(message.ped_rm)) found.push(`Ped-RM ${number(message.ped_rm, 2)}`);
  return found.join(" · ");
}

function verdictsView(verdicts, view) {
  const rules = Object.entries(verdicts);
  if (!rules.length) return null;
  return h("section", { class: "verdicts", "aria-label": "Verdicts" }, h("h3", null, "What the judges said"),
    rules.map(([rule, found]) => h("div", { class: "rule" }, h("h4", null, rule.replaceAll("_", " ")),
      found.map((verdict) => {
        const [kind, word] = { OK: ["ok", "Accepts"], REJECT: ["reject", "Rejects"] }[verdict.decision] || ["none", "No verdict"];
        return h("div", { class: `verdict ${kind}` }, h("b", null, word), verdict.problem && h("small", null, `problem ${verdict.problem}`), verdict.reasoning && h("div", { class: "prose", dir: "auto" }, prose(verdict.reasoning, view.text)));
      }))));
}

// Both post-tests beside each other, where the student was asked about another problem too.
function testsView(body) {
  const own = [solutionsView("After the conversation", body.after), solutionsView("Before the conversation", body.before)];
  const other = body.transfer;
  if (!other) return own;
  return [h("div", { class: "tests" },
    (body.after.length > 0 || body.before.length > 0) && h("section", { "aria-label": "Test on the problem itself" }, h("h3", null, "The problem itself"), own),
    h("section", { "aria-label": "Test on another problem" }, h("h3", null, "Another problem"),
      h("div", { class: "prose statement", dir: "auto" }, prose(other.problem)),
      h("p", { class: "answer" }, "Answer ", h("b", { dir: "auto" }, mathAnswer(other.answer)), other.tutor_hidden && h("small", null, " · the tutor's words hidden")),
      solutionsView("After the conversation", other.after),
      solutionsView("Before the conversation", other.before)))];
}

function solutionsView(title, solutions) {
  if (!solutions.length) return null;
  const right = solutions.filter((s) => s.correct).length;
  return h("details", { class: "solutions" },
    h("summary", null, title, h("span", { class: "tally", "aria-hidden": "true" }, solutions.map((s) => h("i", { class: s.correct ? "right" : "wrong" }))), h("small", null, `${right} of ${solutions.length} right`)),
    solutions.map((s) => h("div", { class: s.correct ? "solution right" : "solution wrong" },
      h("p", null, h("b", null, s.correct ? "Right" : "Wrong"), s.answer === null ? " no boxed answer" : [" ", mathAnswer(s.answer)], present(s.score) && ` score ${number(s.score)}`),
      h("div", { class: "prose", dir: "auto" }, prose(s.text)))));
}

function paid(body) {
  const roles = Object.entries(body.usage);
  if (!roles.length) return null;
  return h("p", { class: "paid" }, roles.map(([role, [requests, read, written, cost]]) =>
    `${role}: ${requests} requests, ${count(read)} tokens read, ${count(written)} written${cost ? `, $${cost}` : ""}`).join(" · "));
}
