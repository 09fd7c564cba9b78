// The browser of conversations: filters, a list that draws only what is in sight, one opened beside.

const ROW = 74; // pixels; the style sheet has the same number

class Browser {
  constructor(data, store) {
    this.data = data;
    this.store = store;
    this.filter = {};
    this.view = { shade: false, text: "" };
    this.found = [];
    this.open = -1;
    this.tally = h("p", { class: "tally-line", role: "status" });
    this.list = h("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": "Conversations" });
    this.sheet = h("div", { class: "sheet" });
    this.list.append(this.sheet);
    this.permalink = h("a", { id: "permalink", href: "#conversations" }, "Link to this conversation");
    this.reader = h("article", { class: "reader", tabindex: "0", "aria-live": "polite", "aria-label": "Conversation" });
    this.list.addEventListener("scroll", () => this.soon());
    this.list.addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.soon());
  }

  section() {
    const total = this.data.total;
    return h("section", { id: "conversations", "aria-labelledby": "conversations-title" },
      h("div", { class: "head" }, h("h2", { id: "conversations-title" }, "Conversations"), this.tally, this.permalink),
      total > this.store.size && h("p", { class: "lead" }, `The page holds ${count(this.store.size)} of ${count(total)} conversations; conversations.jsonl has all.`),
      this.toolbar(), h("div", { class: "panes" }, this.list, this.reader));
  }

  // -- filters ---------------------------------------------------------------------------------

  toolbar() {
    const { data, store } = this;
    const values = (name) => store.values(name).map((v) => [String(v), String(v)]);
    const search = h("input", { type: "search", id: "search", placeholder: "Search what was said", "aria-label": "Search what was said", autocomplete: "off" });
    let timer = 0;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.search(search.value), 120);
    });
    const rewards = (store.index.reward || []).filter(present);
    return h("form", { class: "toolbar", role: "search", on: { submit: (event) => event.preventDefault() } },
      search,
      data.runs.length > 1 && this.menu("run", "Run", data.runs.map((run, i) => [String(i), run.label])),
      this.several("split") && this.menu("split", "Split", values("split")),
      this.several("step") && this.menu("step", "Step", values("step").map(([v]) => [v, `step ${v}`])),
      this.menu("type", "Type", [["guided", "Tutor opens"], ["attempted", "Attempt first"]]),
      this.menu("accepted", "Verdict", [["accepted", "Accepted"], ["rejected", "Rejected"], ["missing", "Missing"]]),
      this.menu("leaked", "Leaked", [["yes", "Leaked"], ["no", "Not leaked"]]),
      this.menu("solved", "Solved", [["all", "Every time"], ["half", "At least half"], ["some", "Sometimes"], ["none", "Never"]]),
      this.several("source") && this.menu("source", "Source", values("source")),
      rewards.length > 0 && h("span", { class: "range" }, "Reward", this.bound("least", rewards), "to", this.bound("most", rewards)),
      this.menu("sort", "In order", [["reward down", "Reward, best first"], ["reward up", "Reward, worst first"], ["delta down", "Gain, most first"], ["delta up", "Gain, least first"], ["turns down", "Longest first"], ["turns up", "Shortest first"]]),
      this.shadeButton(),
      h("button", { type: "reset", class: "ghost", on: { click: () => this.reset() } }, "Clear"));
  }

  several(name) {
    return this.store.values(name).length > 1;
  }

  menu(name, label, options) {
    return h("select", { "aria-label": label, name, on: { change: (event) => this.set(name, event.target.value) } },
      h("option", { value: "" }, `${label}${name === "sort" ? "" : ": any"}`), options.map(([value, text]) => h("option", { value }, text)));
  }

  bound(name, rewards) {
    const limit = name === "least" ? rewards.reduce((a, b) => Math.min(a, b)) : rewards.reduce((a, b) => Math.max(a, b));
    return h("input", { type: "number", step: "any", name, placeholder: number(limit, 3).replace("−", "-"), "aria-label": name === "least" ? "Least reward" : "Most reward",
      on: { input: (event) => this.set(name, event.target.value === "" ? null : Number(event.target.value)) } });
  }

  shadeButton() {
    const button = h("button", { type: "button", class: "ghost", id: "shade", "aria-pressed": "false", title: "Shade the tutor's tokens by how likely it found them" }, "Shade tokens");
    button.addEventListener("click", () => {
      this.view.shade = !this.view.shade;
      button.setAttribute("aria-pressed", String(this.view.shade));
      if (this.open >= 0) this.show(this.open);
    });
    return button;
  }

  set(name, value) {
    this.filter[name] = value;
    this.refresh();
  }

  reset() {
    this.filter = {};
    this.view.text = "";
    this.refresh();
  }

  async search(text) {
    const wanted = text.trim().toLowerCase();
    if (wanted) await this.store.prepareSearch((share) => { if (share < 1) this.tally.textContent = `Reading ${percent(share, 0)}…`; });
    this.view.text = wanted;
    this.filter.text = wanted;
    this.refresh();
    if (this.open >= 0) this.show(this.open);
  }

  refresh() {
    this.found = this.store.select(this.filter);
    this.tally.textContent = this.found.length === this.store.size ? `${count(this.store.size)} conversations` : `${count(this.found.length)} of ${count(this.store.size)} conversations`;
    this.sheet.style.setProperty("height", `${this.found.length * ROW}px`);
    this.list.scrollTop = 0;
    this.draw();
    if (this.open < 0 && this.found.length) this.show(this.found[0]);
  }

  // -- the list --------------------------------------------------------------------------------

  soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 3);
    const last = Math.min(this.found.length, first + Math.ceil(this.list.clientHeight / ROW) + 7);
    const rows = [];
    for (let at = first; at < last; at += 1) rows.push(this.row(at, this.found[at]));
    replace(this.sheet, rows.length ? rows : h("p", { class: "none" }, "No conversation is like that."));
  }

  row(at, i) {
    const { index } = this.store;
    const row = h("div", { class: "row", role: "option", id: `row-${i}`, "aria-selected": String(i === this.open), "aria-setsize": this.found.length, "aria-posinset": at + 1, on: { click: () => this.show(i) } },
      h("p", { class: "title", dir: "auto" }, this.data.runs.length > 1 && swatch(this.data.runs[index.run[i]].group), oneLine(index.title[i])),
      h("p", { class: "marks" },
        h("span", { class: "flow" }, present(index.before[i]) && `${percent(index.before[i], 0)} → `, h("b", null, present(index.after[i]) ? percent(index.after[i], 0) : "–"),
          index.transfer_after && present(index.transfer_after[i]) && ` · other ${percent(index.transfer_after[i], 0)}`),
        index.leaked[i] === 1 ? h("span", { class: "mark bad" }, "leaked") : null,
        index.rejected[i] === 1 && index.leaked[i] !== 1 ? h("span", { class: "mark bad" }, "rejected") : null,
        index.missing[i] === 1 && h("span", { class: "mark warn" }, "verdict missing"),
        index.stop[i] === "error" && h("span", { class: "mark warn" }, "failed"),
        index.type[i] === "attempted" && h("span", { class: "mark" }, "attempt first"),
        this.several("step") && h("span", { class: "mark" }, `step ${index.step[i]}`),
        present(index.reward[i]) && h("span", { class: "reward" }, number(index.reward[i]))));
    row.style.setProperty("top", `${at * ROW}px`);
    return row;
  }

  key(event) {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 8, PageUp: -8, Home: -1e9, End: 1e9 }[event.key];
    if (!step || !this.found.length) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(this.found.length - 1, this.found.indexOf(this.open) + step));
    this.show(this.found[at]);
    const top = at * ROW;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (top + ROW > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = top + ROW - this.list.clientHeight;
    this.draw();
  }

  // -- one conversation ------------------------------------------------------------------------

  async show(i, link = true) {
    const moved = i !== this.open;
    this.open = i;
    for (const row of this.sheet.querySelectorAll("[role=option]")) row.setAttribute("aria-selected", String(row.id === `row-${i}`));
    this.list.setAttribute("aria-activedescendant", `row-${i}`);
    const body = await this.store.body(i);
    if (this.open !== i) return; // another one was opened meanwhile
    replace(this.reader, conversationView(this.data, this.store, i, body, this.view));
    this.permalink.setAttribute("href", `#c/${this.store.address(i)}`);
    if (moved) this.reader.scrollTop = 0;
    document.getElementById("shade").hidden = !body.messages.some((message) => message.pieces);
    if (link && moved && this.started) history.replaceState(null, "", `#c/${this.store.address(i)}`);
    this.started = true;
  }

  // The conversation that the address names, if it does.
  async follow(hash) {
    const i = hash.startsWith("#c/") ? this.store.find(hash.slice(3)) : -1;
    if (i < 0) return false;
    this.started = true;
    await this.show(i, false);
    const at = this.found.indexOf(i);
    if (at >= 0) this.list.scrollTop = Math.max(0, at * ROW - 2 * ROW);
    document.getElementById("conversations").scrollIntoView();
    return true;
  }
}
