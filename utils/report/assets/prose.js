// What a model wrote, as text: math typeset, a little Markdown honoured, everything else verbatim.

// $…$ as pandoc reads it: no space inside the dollars, no digit after them ("$5 and $7" is money).
const MATH = new RegExp([
  /\$\$([\s\S]{1,4000}?)\$\$/.source,
  /\\\[([\s\S]{1,4000}?)\\\]/.source,
  /\\\(([\s\S]{1,4000}?)\\\)/.source,
  /(?<![\\$\w])\$(?!\s)((?:[^$\\\n]|\\[\s\S])+?)(?<!\s)\$(?!\d)/.source,
  /(\\begin\{(?:align|equation|gather|aligned|cases|array|[pbvBV]?matrix)\*?\}[\s\S]{1,4000}?\\end\{(?:align|equation|gather|aligned|cases|array|[pbvBV]?matrix)\*?\})/.source,
  /(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})/.source,
].join("|"), "g");
const MARKS = /```[^\n]*\n?([\s\S]*?)```|`([^`\n]+)`|\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*|^(#{1,6}) +(.+)$/gm;

// Nodes for a text; the caller puts them where white space is kept.
function prose(text, search) {
  const source = legible(text);
  const nodes = [];
  let at = 0;
  for (const found of source.matchAll(MATH)) {
    const group = found.slice(1).findIndex((part) => part !== undefined);
    const display = group < 2 || group === 4;
    const math = typeset(found[group + 1], display);
    nodes.push(...marked(source.slice(at, found.index), search));
    nodes.push(math || h("code", { class: "source" }, found[0]));
    at = found.index + found[0].length;
  }
  nodes.push(...marked(source.slice(at), search));
  return nodes;
}

function marked(text, search) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(MARKS)) {
    nodes.push(...highlighted(text.slice(at, found.index), search));
    const [, block, code, strong, , heading] = found;
    if (block !== undefined) nodes.push(h("pre", null, block));
    else if (code !== undefined) nodes.push(h("code", null, code));
    else nodes.push(h("strong", null, highlighted(strong ?? heading, search)));
    at = found.index + found[0].length;
  }
  nodes.push(...highlighted(text.slice(at), search));
  return nodes;
}

function highlighted(text, search) {
  if (!search || !text) return text ? [text] : [];
  const nodes = [];
  const low = text.toLowerCase();
  let at = 0;
  for (let hit = low.indexOf(search); hit >= 0; hit = low.indexOf(search, hit + search.length)) {
    if (hit > at) nodes.push(text.slice(at, hit));
    nodes.push(h("mark", null, text.slice(hit, hit + search.length)));
    at = hit + search.length;
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

// A turn's tokens, each shaded by how likely the tutor found it.
function tokenSpans(pieces, logprobs) {
  return pieces.map((piece, i) => {
    const surprise = Math.min(1, -logprobs[i] / 5);
    const chance = Math.exp(Math.min(0, logprobs[i]));
    return h("span", {
      class: "token",
      style: { "--surprise": surprise.toFixed(3) },
      title: `${percent(chance)} (logprob ${logprobs[i].toFixed(2)})`,
    }, piece);
  });
}

// Math on one line of a list, where typesetting thousands would cost time: symbols without markup.
function oneLine(text) {
  const bare = text.replace(/\\d?frac\{([^{}]*)\}\{([^{}]*)\}/g, "$1/$2").replace(/\\(?:text|mathrm|mathbf|boxed)\{([^{}]*)\}/g, "$1");
  return bare.replace(/\\[a-zA-Z]+/g, sign).replace(/\\[()[\]]|\$(?=\S[^$]*\$)|(?<=\S)\$(?!\d)/g, "");
}
