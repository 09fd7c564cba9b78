// A sitting: polls the state, draws it, posts what the person does.

const SHOWN = 40; // problems in the list; more words in the search find the others
const LABELS = {
  attempt: "Try the problem on your own first; your tutor reads this",
  message: "Your message",
  solution: "Now solve the problem alone: your final answer",
};
const app = document.getElementById("app");
const title = h("h1", { tabindex: -1 }, "Sit in");
const place = h("main", { class: "sitting" });
let state = { phase: "loading", version: -1 };
let draft = "";

function frame() {
  replace(app,
    h("header", { class: "top" },
      h("div", { class: "brand" }, h("p", { class: "kicker" }, "Sit in the classroom"), title),
      h("nav", { "aria-label": "Page" }, themeButton(), h("button", { type: "button", id: "leave", on: { click: leave } }, "Leave"))),
    place);
}

async function post(path, content) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  if (!answer.ok && answer.status !== 409) throw new Error(`the server answered ${answer.status}`);
}

const answer = (content) => post("answer", { ...content, version: state.version }).catch(trouble);
const leave = () => post("leave", {}).catch(trouble);

function trouble(error) {
  const line = h("p", { class: "trouble", role: "alert" }, `No connection to the classroom: ${error.message}`);
  place.querySelector(".trouble")?.remove();
  place.append(line);
}

async function poll() {
  for (;;) {
    try {
      const found = await (await fetch(`state?after=${state.version}`)).json();
      if (found.phase === "same") continue;
      state = found;
      draw();
      if (state.phase === "left") return;
    } catch (error) {
      trouble(error);
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

function draw() {
  const tutor = state.seat === "tutor";
  if (state.seat) title.textContent = tutor ? "You are the tutor" : "You are the student";
  const parts = { choose: choosing, talk: talking, ask: talking, over: over, left: gone }[state.phase];
  replace(place, parts ? parts() : h("p", { class: "waiting", role: "status" }, "The models are loading…"));
  const focus = place.querySelector("textarea, #find, [data-focus]");
  if (focus) focus.focus();
  if (state.phase === "ask" || state.phase === "talk") place.lastElementChild.scrollIntoView({ block: "end" });
  document.documentElement.dataset.phase = state.phase;
}

function choosing() {
  const list = h("ul", { class: "problems" });
  const tally = h("p", { class: "hint", role: "status" });
  const fill = (words) => {
    const found = state.problems.map((text, number) => [text, number]).filter(([text]) => text.toLowerCase().includes(words.toLowerCase()));
    replace(list, found.slice(0, SHOWN).map(([text, number]) => h("li", null,
      h("button", { type: "button", on: { click: () => answer({ problem: number }) } }, oneLine(text)))));
    tally.textContent = `${found.length} of ${state.problems.length} problems${found.length > SHOWN ? `, the first ${SHOWN} are shown` : ""}`;
  };
  fill("");
  return [
    h("h2", null, "Which problem?"),
    h("div", { class: "choices" }, h("button", { type: "button", class: "first", on: { click: () => answer({}) } }, "Draw one")),
    h("label", { for: "find" }, "Or look for words in it"),
    h("input", { id: "find", type: "search", autocomplete: "off", on: { input: (event) => fill(event.target.value) } }),
    tally, list,
  ];
}

const speakerOf = (message) => message.speaker || (message.role === "teacher" ? "Tutor" : state.student || "Student");

function said(message) {
  const tutor = message.role === "teacher";
  return h("li", { class: `turn ${tutor ? "tutor" : "student"}` },
    h("p", { class: "speaker" }, speakerOf(message)),
    h("div", { class: "bubble" }, h("div", { class: "prose", dir: "auto" }, message.text ? prose(message.text) : h("i", { class: "nothing" }, "(nothing)"))));
}

function talking() {
  return [
    h("h2", null, "The problem"),
    h("div", { class: "prose statement", dir: "auto" }, prose(state.problem)),
    h("ol", { class: "turns", "aria-live": "polite", "aria-label": "Conversation" }, state.messages.map(said)),
    state.phase === "ask" ? form() : h("p", { class: "waiting", role: "status" }, state.waiting && `${state.waiting}…`),
  ];
}

function form() {
  const solution = state.wanted === "solution";
  const field = h("textarea", { id: "words", rows: 3, maxlength: 20000, on: { input: () => { draft = field.value; }, keydown: (event) => key(event, send) } });
  field.value = draft;
  const send = (ends) => {
    if (!field.value.trim() && !ends && !solution) return;
    draft = "";
    answer({ text: field.value, ends });
  };
  return h("form", { class: "say", on: { submit: (event) => { event.preventDefault(); send(false); } } },
    h("label", { for: "words" }, LABELS[state.wanted]), field,
    h("div", { class: "buttons" },
      h("button", { class: "first", type: "submit" }, solution ? "Hand in" : "Send"),
      state.wanted === "message" && h("button", { type: "button", id: "end", on: { click: () => send(true) } }, "End the conversation"),
      h("small", null, solution ? "Enter hands in" : "Enter sends, Shift+Enter begins a new line, Ctrl+Enter ends the conversation")));
}

function key(event, send) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send(state.wanted === "message" && (event.ctrlKey || event.metaKey));
}

function over() {
  const { index, body } = state.result;
  return [
    h("h2", { tabindex: -1, "data-focus": true }, "The conversation is over"),
    state.seat === "student" && body.after.length ? h("p", { class: "lead" },
      "Your answer ", h("b", null, body.after[0].answer ?? "(none)"), body.after[0].correct ? " is right." : " is wrong.") : null,
    conversationView({ runs: [{ label: "" }] }, { index }, 0, body, { text: "", shade: false }),
    h("div", { class: "choices" }, h("button", { type: "button", class: "first", id: "next", on: { click: () => answer({}) } }, "Another problem")),
  ];
}

function gone() {
  document.getElementById("leave").hidden = true;
  return [h("h2", { tabindex: -1, "data-focus": true }, "You have left"),
    state.failed ? h("p", { class: "trouble", role: "alert" }, state.failed) : h("p", null, "Finished conversations are kept; the terminal says where their report is.")];
}

frame();
poll();
