// The conversations: an index to filter and sort at once, bodies unpacked when they are needed.

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

class Store {
  constructor(data) {
    this.index = data.index;
    this.size = data.index.problem ? data.index.problem.length : 0;
    this.perChunk = data.chunk;
    this.elements = {
      talk: [...document.querySelectorAll("script.data-talk")],
      solutions: [...document.querySelectorAll("script.data-solutions")],
    };
    this.unpacked = { talk: new Map(), solutions: new Map() }; // chunk number -> promise of it
    this.haystacks = new Array(this.size);
    this.searchable = false;
  }

  chunk(kind, at) {
    const known = this.unpacked[kind];
    if (!known.has(at)) known.set(at, this.unpack(this.elements[kind][at]));
    return known.get(at);
  }

  async unpack(element) {
    const stream = new Blob([bytesOf(element.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // What was said and judged, with the solutions before and after.
  async body(i) {
    const [at, inside] = [Math.floor(i / this.perChunk), i % this.perChunk];
    const [talk, solutions] = await Promise.all([this.chunk("talk", at), this.chunk("solutions", at)]);
    return { ...talk[inside], ...solutions[inside] };
  }

  // Everything that can be searched, in lower case; once, a chunk at a time.
  async prepareSearch(progress) {
    if (this.searchable) return;
    let done = 0;
    await Promise.all(this.elements.talk.map(async (_, n) => {
      (await this.chunk("talk", n)).forEach((body, j) => {
        const i = n * this.perChunk + j;
        const turns = body.messages.map((message) => `${message.text}\n${message.hidden || ""}`);
        const reasons = Object.values(body.verdicts).flat().map((verdict) => verdict.reasoning);
        this.haystacks[i] = [this.index.problem[i], body.problem, body.answer, ...turns, ...reasons].join("\n").toLowerCase();
      });
      done += 1;
      progress(done / this.elements.talk.length);
    }));
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
    const other = index.transfer_after || []; // where the problem itself was not asked
    const after = index.after.map((rate, i) => rate ?? other[i]);
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
