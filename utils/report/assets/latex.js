// LaTeX as models write it, parsed into a small tree; what it does not know it refuses (throws).

const SYMBOLS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", varepsilon: "ε", zeta: "ζ", eta: "η",
  theta: "θ", vartheta: "ϑ", iota: "ι", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π",
  rho: "ρ", sigma: "σ", tau: "τ", upsilon: "υ", phi: "ϕ", varphi: "φ", chi: "χ", psi: "ψ",
  omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ",
  Phi: "Φ", Psi: "Ψ", Omega: "Ω", ell: "ℓ", hbar: "ℏ", infty: "∞", partial: "∂", nabla: "∇",
  emptyset: "∅", varnothing: "∅", aleph: "ℵ", Re: "ℜ", Im: "ℑ", degree: "°", top: "⊤", bot: "⊥",
};
const OPERATORS = {
  times: "×", cdot: "⋅", div: "÷", pm: "±", mp: "∓", ast: "∗", star: "⋆", circ: "∘", bullet: "∙",
  le: "≤", leq: "≤", leqslant: "≤", ge: "≥", geq: "≥", geqslant: "≥", ne: "≠", neq: "≠", ll: "≪",
  gg: "≫", lt: "<", gt: ">", approx: "≈", equiv: "≡", sim: "∼", simeq: "≃", cong: "≅",
  propto: "∝", to: "→", rightarrow: "→", leftarrow: "←", Rightarrow: "⇒", Leftarrow: "⇐",
  longrightarrow: "⟶", Longrightarrow: "⟹", implies: "⟹", impliedby: "⟸", iff: "⟺",
  leftrightarrow: "↔", Leftrightarrow: "⇔", mapsto: "↦", uparrow: "↑", downarrow: "↓", in: "∈",
  notin: "∉", ni: "∋", subset: "⊂", subseteq: "⊆", supset: "⊃", supseteq: "⊇", cup: "∪", cap: "∩",
  setminus: "∖", land: "∧", wedge: "∧", lor: "∨", vee: "∨", lnot: "¬", neg: "¬", forall: "∀",
  exists: "∃", mid: "∣", nmid: "∤", parallel: "∥", perp: "⊥", angle: "∠", triangle: "△",
  square: "□", oplus: "⊕", otimes: "⊗", ldots: "…", dots: "…", cdots: "⋯", vdots: "⋮", ddots: "⋱",
  therefore: "∴", because: "∵", prime: "′", colon: ":", backslash: "\\", checkmark: "✓",
  lbrace: "{", rbrace: "}", lbrack: "[", rbrack: "]", lvert: "|", rvert: "|", vert: "|",
  lVert: "‖", rVert: "‖", Vert: "‖", langle: "⟨", rangle: "⟩", lfloor: "⌊", rfloor: "⌋",
  lceil: "⌈", rceil: "⌉", dotsc: "…", dotsb: "⋯", blacksquare: "■", Box: "□", hookrightarrow: "↪",
};
const LARGE = {
  sum: "∑", prod: "∏", int: "∫", iint: "∬", oint: "∮", bigcup: "⋃", bigcap: "⋂", coprod: "∐",
};
const FUNCTIONS = new Set((
  "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf " +
  "det dim gcd lcm deg arg ker mod limsup liminf Pr").split(" "));
const LIMITS = new Set(["lim", "max", "min", "sup", "inf", "limsup", "liminf", "gcd", "Pr"]);
const ACCENTS = {
  hat: "^", widehat: "^", bar: "¯", overline: "―", vec: "→", overrightarrow: "→", dot: "˙",
  ddot: "¨", tilde: "~", widetilde: "~", underline: "_", overbrace: "⏞", underbrace: "⏟",
};
const SPACES = {
  ",": 0.17, ":": 0.22, ">": 0.22, ";": 0.28, "!": 0, " ": 0.3, quad: 1, qquad: 2, thinspace: 0.17,
  enspace: 0.5, medspace: 0.22, thickspace: 0.28, negthinspace: 0,
};
const TEXT = new Set(["text", "textrm", "textit", "textbf", "textsf", "texttt", "mbox", "hbox",
  "operatorname", "textnormal"]);
const VARIANTS = {
  mathrm: "normal", mathbf: "bold", boldsymbol: "bold", bm: "bold", mathit: "italic", bold: "bold",
  mathsf: "normal", mathtt: "normal", mathbb: "double", mathcal: "normal", mathscr: "normal",
  mathfrak: "normal", rm: "normal",
};
const IGNORED = new Set(["displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "hline",
  "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "nonumber",
  "notag", "centering", "left.", "right.", "allowbreak", "noindent", "phantom"]);
const GRIDS = new Set(["matrix", "pmatrix", "bmatrix", "vmatrix", "Vmatrix", "Bmatrix", "cases",
  "array", "aligned", "align", "align*", "gathered", "gather", "gather*", "split", "equation",
  "equation*", "smallmatrix", "tabular", "alignedat", "eqnarray", "eqnarray*"]);
const FENCES = {
  pmatrix: "()", bmatrix: "[]", vmatrix: "||", Vmatrix: "‖‖", Bmatrix: "{}", cases: "{ ",
};
const DEEPEST = 60;

function tokenise(source) {
  const pattern = /\\([a-zA-Z]+\*?|[^a-zA-Z])|(%[^\n]*)|(\s+)|(\d+(?:[.,]\d+)*(?:\.\d+)?|\.\d+)|([\s\S])/gu;
  const tokens = [];
  for (const [, command, comment, space, digits, other] of source.matchAll(pattern)) {
    if (comment !== undefined) continue;
    if (command !== undefined) tokens.push({ kind: "command", text: command });
    else if (space !== undefined) tokens.push({ kind: "space", text: " " });
    else if (digits !== undefined) tokens.push({ kind: "number", text: digits });
    else tokens.push({ kind: "char", text: other });
  }
  return tokens;
}

class Latex {
  constructor(source) {
    this.tokens = tokenise(source);
    this.at = 0;
    this.depth = 0;
  }

  static parse(source) {
    const parser = new Latex(source);
    const tree = parser.row(() => false);
    if (parser.at < parser.tokens.length) throw new Error("something is left over");
    return tree;
  }

  get next() { return this.tokens[this.at]; }
  is(kind, text) { return this.next && this.next.kind === kind && this.next.text === text; }
  skipSpaces() { while (this.next && this.next.kind === "space") this.at += 1; }

  expect(text) {
    this.skipSpaces();
    if (!this.is("char", text)) throw new Error(`expected ${text}`);
    this.at += 1;
  }

  row(ends) {
    if (++this.depth > DEEPEST) throw new Error("nested too deeply");
    const items = [];
    for (;;) {
      this.skipSpaces();
      if (!this.next || ends() || this.is("char", "}")) break;
      const item = this.scripted();
      if (item) items.push(item);
    }
    this.depth -= 1;
    return { kind: "row", items };
  }

  scripted() {
    let base = this.is("char", "^") || this.is("char", "_") ? { kind: "row", items: [] } : this.atom();
    if (base === null) return null;
    let sub = null;
    let sup = null;
    for (;;) {
      this.skipSpaces();
      if (this.is("char", "_") && !sub) { this.at += 1; sub = this.argument(); }
      else if (this.is("char", "^") && !sup) { this.at += 1; sup = this.argument(); }
      else if (this.is("char", "'")) {
        this.at += 1;
        const prime = { kind: "operator", text: "′" };
        sup = sup ? { kind: "row", items: [sup, prime] } : prime;
      } else if (this.is("command", "limits") || this.is("command", "nolimits")) this.at += 1;
      else break;
    }
    return sub || sup ? { kind: "scripts", base, sub, sup } : base;
  }

  argument() {
    this.skipSpaces();
    if (!this.next) throw new Error("an argument is missing");
    if (this.is("char", "{")) return this.group();
    if (this.next.kind === "number" && this.next.text.length > 1) {
      const [first, ...rest] = this.next.text; // x^12 is x^1 followed by 2
      this.tokens.splice(this.at, 1, { kind: "number", text: first },
        { kind: "number", text: rest.join("") });
    }
    if (++this.depth > DEEPEST) throw new Error("nested too deeply");
    const found = this.atom() || { kind: "row", items: [] };
    this.depth -= 1;
    return found;
  }

  group() {
    this.expect("{");
    const inner = this.row(() => false);
    this.expect("}");
    return inner;
  }

  raw() {
    this.skipSpaces();
    this.expect("{");
    let open = 1;
    let text = "";
    for (; this.next; this.at += 1) {
      const { kind, text: piece } = this.next;
      if (kind === "char" && piece === "{") open += 1;
      if (kind === "char" && piece === "}" && --open === 0) { this.at += 1; return text; }
      if (kind === "char" && (piece === "$" || piece === "{" || piece === "}")) continue;
      text += kind === "command" ? (piece.length > 1 ? `\\${piece}` : piece) : piece;
    }
    throw new Error("a brace is not closed");
  }

  optional() {
    this.skipSpaces();
    if (!this.is("char", "[")) return null;
    this.at += 1;
    const inner = this.row(() => this.is("char", "]"));
    this.expect("]");
    return inner;
  }

  atom() {
    const token = this.next;
    if (token.kind === "char" && token.text === "{") return this.group();
    this.at += 1;
    if (token.kind === "number") return { kind: "number", text: token.text };
    if (token.kind === "command") return this.command(token.text);
    if (token.text === "~") return { kind: "space", width: 0.3 };
    if (token.text === "&" || token.text === "}" || token.text === "$") {
      throw new Error(`unexpected ${token.text}`);
    }
    if (/[\p{L}]/u.test(token.text)) return { kind: "letter", text: token.text };
    return { kind: "operator", text: { "-": "−", "*": "∗" }[token.text] || token.text };
  }

  command(name) {
    if (name in SYMBOLS) return { kind: "letter", text: SYMBOLS[name] };
    if (name in OPERATORS) return { kind: "operator", text: OPERATORS[name] };
    if (name in LARGE) return { kind: "operator", text: LARGE[name], large: true };
    if (FUNCTIONS.has(name)) return { kind: "function", text: name, large: LIMITS.has(name) };
    if (name in SPACES) return { kind: "space", width: SPACES[name] };
    if ("{}%$&#_".includes(name)) return { kind: "operator", text: name };
    if (name === "|") return { kind: "operator", text: "‖" };
    if (name === "(" || name === ")" || name === "[" || name === "]") return null;
    if (IGNORED.has(name)) return null;
    if (TEXT.has(name)) return { kind: "text", text: this.raw() };
    if (name in ACCENTS) return { kind: "accent", mark: ACCENTS[name], under: name.startsWith("under"), base: this.argument() };
    if (name in VARIANTS) return { kind: "variant", variant: VARIANTS[name], base: this.argument() };
    return this.structure(name);
  }

  structure(name) {
    switch (name) {
      case "frac": case "dfrac": case "tfrac": case "cfrac":
        return { kind: "fraction", top: this.argument(), bottom: this.argument() };
      case "binom": case "dbinom": case "tbinom":
        return { kind: "binomial", top: this.argument(), bottom: this.argument() };
      case "sqrt": {
        const degree = this.optional();
        return { kind: "root", degree, base: this.argument() };
      }
      case "boxed": case "fbox": return { kind: "box", base: this.argument() };
      case "pmod": return { kind: "row", items: [{ kind: "text", text: " (mod " }, this.argument(), { kind: "text", text: ")" }] };
      case "bmod": return { kind: "text", text: " mod " };
      case "stackrel": case "overset": { const over = this.argument(); return { kind: "stack", over, base: this.argument() }; }
      case "underset": { const under = this.argument(); return { kind: "stack", under, base: this.argument() }; }
      case "not": return { kind: "operator", text: `${this.argument().text || ""}\u0338` };
      case "cancel": return this.argument();
      case "color": case "textcolor": this.raw(); return name === "color" ? null : this.argument();
      case "tag": case "label": this.raw(); return null;
      case "left": return this.fenced();
      case "begin": return this.environment();
      case "\\": case "newline": return { kind: "space", width: 1 };
      default: throw new Error(`unknown command ${name}`);
    }
  }

  delimiter() {
    this.skipSpaces();
    const token = this.next;
    if (!token) throw new Error("a delimiter is missing");
    this.at += 1;
    if (token.kind === "command") return token.text === "|" ? "‖" : OPERATORS[token.text] || token.text;
    return token.text === "." ? "" : token.text;
  }

  fenced() {
    const open = this.delimiter();
    const inner = this.row(() => this.is("command", "right"));
    if (!this.is("command", "right")) throw new Error("\\left without \\right");
    this.at += 1;
    return { kind: "fenced", open, close: this.delimiter(), base: inner };
  }

  environment() {
    const name = this.raw();
    if (!GRIDS.has(name)) throw new Error(`unknown environment ${name}`);
    if (name === "array" || name === "tabular" || name === "alignedat") this.raw();
    const rows = [[]];
    for (;;) {
      const cell = this.row(() =>
        this.is("char", "&") || this.is("command", "\\") || this.is("command", "end"));
      rows.at(-1).push(cell);
      const token = this.next;
      if (!token || token.text === "}") throw new Error("an environment is not closed");
      this.at += 1;
      if (token.text === "\\") { this.optional(); rows.push([]); }
      else if (token.text === "end") break;
    }
    if (this.raw() !== name) throw new Error("an environment ends under another name");
    if (rows.length > 1 && rows.at(-1).length === 1 && !rows.at(-1)[0].items.length) rows.pop();
    const fence = FENCES[name] || "";
    return { kind: "grid", rows, open: fence[0] || "", close: (fence[1] || "").trim(), left: /align|split|cases/.test(name) };
  }
}
