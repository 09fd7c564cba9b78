// The conversations: an index to filter and sort at once, bodies unpacked when they are needed.

class Store {
  constructor(data) {
    this.index = data.index;
    this.size = data.index.problem ? data.index.problem.length : 0;
    this.perChunk = data.chunk;
    this.elements = [...document.querySelectorAll("script.chunk")];
    this.unpacked = new Map(); // chunk number -> promise of its bodies
    this.haystacks = new Array(this.size);
    this.searchable = false;
  }

  chunk(number_) {
    if (!this.unpacked.has(number_)) this.unpacked.set(number_, this.unpack(this.elements[number_]));
    return this.unpacked.get(number_);
  }

  async unpack(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  async body(i) {
    return (await this.chunk(Math.floor(i / this.perChunk)))[i % this.perChunk];
  }

  // Everything that can be searched, in lower case; once, a chunk at a time.
  async prepareSearch(progress) {
    if (this.searchable) return;
    for (let n = 0; n < this.elements.length; n += 1) {
      const bodies = await this.chunk(n);
      bodies.forEach((body, j) => {
        const i = n * this.perChunk + j;
        const turns = body.messages.map((message) => `${message.text}\n${message.hidden || ""}`);
        const reasons = Object.values(body.verdicts).flat().map((verdict) => verdict.reasoning);
        this.haystacks[i] = [this.index.problem[i], body.problem, body.answer, ...turns, ...reasons].join("\n").toLowerCase();
      });
      progress((n + 1) / this.elements.length);
    }
    this.searchable = true;
  }

  select(filter) {
    const tests = this.tests(filter);
    const found = [];
    for (let i = 0; i < this.size; i += 1) if (tests.every((test) => test(i))) found.push(i);
    return this.sorted(found, filter.sort);
  }

  tests(filter) {
    const { index } = this;
    const tests = [];
    for (const name of ["run", "split", "step", "type", "source", "stop"]) {
      if (filter[name]) tests.push((i) => String(index[name][i]) === filter[name]);
    }
    const verdicts = { yes: 1, no: 0 };
    if (filter.leaked) tests.push((i) => index.leaked[i] === verdicts[filter.leaked]);
    if (filter.accepted === "accepted") tests.push((i) => index.rejected[i] === 0);
    if (filter.accepted === "rejected") tests.push((i) => index.rejected[i] === 1);
    if (filter.accepted === "missing") tests.push((i) => index.missing[i] === 1);
    const after = index.after;
    const solved = { all: (v) => v === 1, half: (v) => v >= 0.5, some: (v) => v > 0 && v < 1, none: (v) => v === 0 }[filter.solved];
    if (solved) tests.push((i) => present(after[i]) && solved(after[i]));
    if (present(filter.least)) tests.push((i) => present(index.reward[i]) && index.reward[i] >= filter.least);
    if (present(filter.most)) tests.push((i) => present(index.reward[i]) && index.reward[i] <= filter.most);
    if (filter.text) tests.push((i) => (this.haystacks[i] || "").includes(filter.text));
    return tests;
  }

  sorted(found, order) {
    if (!order) return found;
    const [name, direction] = order.split(" ");
    const sign = direction === "down" ? -1 : 1;
    const column = this.index[name];
    return found.sort((a, b) => {
      if (present(column[a]) !== present(column[b])) return present(column[a]) ? -1 : 1;
      return present(column[a]) ? sign * (column[a] - column[b]) || a - b : a - b;
    });
  }

  // The values of a column, for a menu; in order of appearance.
  values(name) {
    return this.size ? [...new Set(this.index[name])] : [];
  }

  address(i) {
    return ["run", "split", "step", "problem", "sample"].map((name) => encodeURIComponent(this.index[name][i])).join("/");
  }

  find(address) {
    for (let i = 0; i < this.size; i += 1) if (this.address(i) === address) return i;
    return -1;
  }
}
