// The tree of latex.js as MathML elements, which browsers typeset themselves.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const m = (tag, attributes, ...children) =>
  build(document.createElementNS(MATHML, tag), attributes, children);
const DOUBLE = { N: "ℕ", Z: "ℤ", Q: "ℚ", R: "ℝ", C: "ℂ", P: "ℙ", H: "ℍ" };

// A <math> element, or null where the source is not understood (show the source then).
function typeset(source, display) {
  if (!source.trim() || source.length > 4000) return null;
  try {
    const inner = mathNode(Latex.parse(source));
    const math = m("math", { display: display ? "block" : "inline" }, inner);
    math.setAttribute("title", source);
    return math;
  } catch {
    return null;
  }
}

function mathNode(node, variant) {
  switch (node.kind) {
    case "row":
      return node.items.length === 1
        ? mathNode(node.items[0], variant)
        : m("mrow", null, node.items.map((item) => mathNode(item, variant)));
    case "number": return m("mn", bold(variant), node.text);
    case "letter": return letter(node.text, variant);
    case "operator":
      return m("mo", { stretchy: /^[()[\]{}|‖⟨⟩]$/.test(node.text) ? "false" : null }, node.text);
    case "function": return m("mrow", null, m("mi", null, node.text), m("mspace", { width: "0.1em" }));
    case "text": return m("mtext", null, node.text.replace(/^ | $/g, "\u00a0"));
    case "space": return m("mspace", { width: `${node.width}em` });
    case "fraction": return m("mfrac", null, mathNode(node.top, variant), mathNode(node.bottom, variant));
    case "binomial":
      return m("mrow", null, m("mo", null, "("),
        m("mfrac", { linethickness: "0" }, mathNode(node.top), mathNode(node.bottom)),
        m("mo", null, ")"));
    case "root":
      return node.degree
        ? m("mroot", null, mathNode(node.base, variant), mathNode(node.degree))
        : m("msqrt", null, mathNode(node.base, variant));
    case "box": return m("mrow", { class: "boxed" }, mathNode(node.base, variant));
    case "variant": return mathNode(node.base, node.variant);
    case "accent": return accent(node, variant);
    case "stack": return stack(node, variant);
    case "fenced":
      return m("mrow", null, fence(node.open), mathNode(node.base, variant), fence(node.close));
    case "grid": return grid(node);
    case "scripts": return scripts(node, variant);
    default: throw new Error(`no such node: ${node.kind}`);
  }
}

const bold = (variant) => (variant === "bold" ? { class: "bold" } : null);
const fence = (text) => (text ? m("mo", { stretchy: "true", fence: "true" }, text) : null);

function letter(text, variant) {
  if (variant === "double" && DOUBLE[text]) return m("mi", { mathvariant: "normal" }, DOUBLE[text]);
  if (variant === "bold") return m("mi", { mathvariant: "normal", class: "bold" }, text);
  return m("mi", variant === "normal" ? { mathvariant: "normal" } : null, text);
}

function accent(node, variant) {
  const base = mathNode(node.base, variant);
  const mark = m("mo", { stretchy: "true" }, node.mark);
  return node.under ? m("munder", null, base, mark) : m("mover", { accent: "true" }, base, mark);
}

function stack(node, variant) {
  const base = mathNode(node.base, variant);
  return node.over ? m("mover", null, base, mathNode(node.over)) : m("munder", null, base, mathNode(node.under));
}

function grid(node) {
  const rows = node.rows.map((cells) =>
    m("mtr", null, cells.map((cell, column) =>
      m("mtd", { class: node.left ? (column % 2 || node.open ? "left" : "right") : null }, mathNode(cell)))));
  return m("mrow", null, fence(node.open), m("mtable", null, rows), fence(node.close));
}

function scripts(node, variant) {
  const base = mathNode(node.base, variant);
  const large = node.base.large && node.base.text !== "∫";
  const sub = node.sub && mathNode(node.sub, variant);
  const sup = node.sup && mathNode(node.sup, variant);
  if (sub && sup) return m(large ? "munderover" : "msubsup", null, base, sub, sup);
  if (sub) return m(large ? "munder" : "msub", null, base, sub);
  return m(large ? "mover" : "msup", null, base, sup);
}
