// LaTeX as models write it, typeset by temml as MathML; what it does not know is left as it was.

const LONGEST = 4000;
const DEEPEST = 60; // of braces and commands that nest: what is deeper is no formula
const MACROS = { "\\mbox": "\\text", "\\hbox": "\\text" };

function formula(source, displayMode) {
  return temml.__renderToMathMLTree(source, {
    displayMode, macros: { ...MACROS }, throwOnError: true, trust: false,
    maxSize: [30, 30], // em: nothing covers the page
  });
}

// A <math> element, or null where the source is not understood (show the source then).
function typeset(source, display) {
  if (!source.trim() || source.length > LONGEST) return null;
  for (const displayMode of display ? [true] : [false, true]) { // some environments are display only
    try {
      const math = formula(source, displayMode).toNode();
      if (depth(math) > DEEPEST) return null;
      math.setAttribute("display", display ? "block" : "inline");
      math.setAttribute("title", source);
      return math;
    } catch { /* temml says what it does not know by an error */ }
  }
  return null;
}

function depth(root) {
  let deepest = 0;
  for (let level = [root]; level.length; deepest += 1) level = level.flatMap((node) => [...node.children]);
  return deepest;
}

const signs = new Map();

// What a command stands for, as text (\times: ×); the command itself where it stands for none.
function sign(command) {
  if (!signs.has(command)) {
    let text = "";
    try {
      text = formula(command, false).toText();
    } catch { /* it is left as it was */ }
    signs.set(command, text || command);
  }
  return signs.get(command);
}
