// Charts as inline SVG: lines with intervals, sparklines, whiskers, stacked bars.

// About `wanted` round numbers from low to high.
function ticks(low, high, wanted = 4) {
  const span = high - low || 1;
  const raw = span / wanted;
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * base).find((s) => s >= raw * 0.999);
  const found = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-6; t += step) {
    found.push(Math.abs(t) < step * 1e-6 ? 0 : Number(t.toPrecision(12)));
  }
  return found;
}

const scale = (low, high, from, to) => (value) =>
  from + ((value - low) / (high - low || 1)) * (to - from);

function pathOf(pairs) {
  return pairs.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
}

// The range of a chart: all means, and intervals as far as they do not drown them.
function rangeOf(series, kind) {
  const means = series.flatMap((s) => s.points.map((p) => p[1]));
  let low = Math.min(...means);
  let high = Math.max(...means);
  const reach = Math.max(high - low, 1e-9);
  for (const s of series.filter((one) => one.points.length < 40 && !one.pale)) { // of longer ones no band is drawn
    for (const [, , lo, hi] of s.points) {
      if (present(lo)) low = Math.min(low, Math.max(lo, low - reach));
      if (present(hi)) high = Math.max(high, Math.min(hi, high + reach));
    }
  }
  if (kind && kind.share && !kind.signed) return [0, 1];
  if (low > 0 && low < 0.4 * high) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low === 0 ? 0 : low - room, high + room];
}

// Exponential smoothing for long, noisy curves; the raw line stays visible behind it.
function smooth(points_) {
  if (points_.length < 40) return points_;
  const weight = 2 / (points_.length / 12 + 1);
  let mean = points_[0][1];
  return points_.map(([x, y, lo, hi]) => [x, (mean += weight * (y - mean)), lo, hi]);
}

function lineChart({ title, note, series, kind, name }) {
  const [W, H, L, R, T, B] = [340, 180, 44, 12, 10, 24];
  const xs = series.flatMap((s) => s.points.map((p) => p[0]));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = rangeOf(series, kind);
  const x = scale(x0, x1, L, W - R);
  const y = scale(y0, y1, H - B, T);
  const inside = (value) => Math.max(y0, Math.min(y1, value));
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": describeLines(title, series, name) });
  for (const t of ticks(y0, y1)) {
    append(picture, [
      svg("line", { class: t === 0 ? "axis" : "grid", x1: L, x2: W - R, y1: y(t), y2: y(t) }),
      svg("text", { class: "tick", x: L - 6, y: y(t) + 3.5, "text-anchor": "end" },
        kind && kind.share ? `${Math.round(t * 100)}%` : number(t)),
    ]);
  }
  for (const t of ticks(x0, x1, 5).filter(Number.isInteger)) {
    append(picture, [svg("text", { class: "tick", x: x(t), y: H - 8, "text-anchor": "middle" }, number(t, 6))]);
  }
  for (const s of series) {
    const band = s.points.filter((p) => present(p[2]) && present(p[3]));
    const long = s.points.length >= 40;
    if (band.length > 1 && !long && !s.pale) {
      const edge = [...band.map((p) => [x(p[0]), y(inside(p[3]))]),
        ...band.reverse().map((p) => [x(p[0]), y(inside(p[2]))])];
      append(picture, [svg("path", { class: "band", d: `${pathOf(edge)}Z`, fill: s.colour })]);
    }
    if (long && !s.pale) append(picture, [svg("path", { class: "raw", d: pathOf(s.points.map((p) => [x(p[0]), y(p[1])])), stroke: s.colour })]);
    append(picture, [svg("path", { class: s.pale ? "line pale" : "line", d: pathOf(smooth(s.points).map((p) => [x(p[0]), y(p[1])])), stroke: s.colour })]);
    if (s.pale) continue;
    const [lastX, lastY] = smooth(s.points).at(-1);
    append(picture, [svg("circle", { cx: x(lastX), cy: y(lastY), r: 2.6, fill: s.colour })]);
  }
  follow(picture, series, { x, x0, x1, W, H, T, B, L, R }, name);
  return h("figure", { class: "chart", title: hover(name) }, h("figcaption", null, h("b", null, title), note && h("span", null, note)), picture);
}

function describeLines(title, series, name) {
  const said = series.map((s) => {
    const [first, last] = [s.points[0], s.points.at(-1)];
    return `${s.name}: ${metricValue(name, first[1])} at step ${first[0]}, ${metricValue(name, last[1])} at step ${last[0]}`;
  });
  return `${title}. ${said.join("; ")}`;
}

// A cursor line and the values under it.
function follow(picture, series, box, name) {
  const cursor = svg("line", { class: "cursor", y1: box.T, y2: box.H - box.B, visibility: "hidden" });
  picture.append(cursor);
  picture.addEventListener("pointermove", (event) => {
    const size = picture.getBoundingClientRect();
    const at = ((event.clientX - size.left) / size.width) * box.W;
    const step = box.x0 + ((at - box.L) / (box.W - box.L - box.R)) * (box.x1 - box.x0);
    const near = series.map((s) =>
      s.points.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best)));
    const nearest = near.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best));
    cursor.setAttribute("x1", box.x(nearest[0]));
    cursor.setAttribute("x2", box.x(nearest[0]));
    cursor.setAttribute("visibility", "visible");
    showTooltip(event, [`step ${nearest[0]}`, ...series.map((s, i) =>
      `${series.length > 1 ? `${s.name}: ` : ""}${metricValue(name, near[i][1])}${intervalText(name, near[i][2], near[i][3])}`)]);
  });
  picture.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    hideTooltip();
  });
}

const intervalText = (name, low, high) =>
  present(low) && present(high) ? `  [${metricValue(name, low)}, ${metricValue(name, high)}]` : "";

function sparkline(points_, colour) {
  const [W, H] = [120, 28];
  const ys = points_.map((p) => p[1]);
  const x = scale(points_[0][0], points_.at(-1)[0], 2, W - 4);
  const y = scale(Math.min(...ys), Math.max(...ys), H - 4, 4);
  const line = smooth(points_).map((p) => [x(p[0]), y(p[1])]);
  const [endX, endY] = line.at(-1);
  return svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "spark", "aria-hidden": "true" },
    svg("path", { class: "line", d: pathOf(line), stroke: colour }),
    svg("circle", { cx: endX, cy: endY, r: 2.4, fill: colour }));
}

// A dot with its interval on a common scale.
function whisker(entry, low, high, colour) {
  const [W, H] = [110, 14];
  const x = scale(low, high, 5, W - 5);
  const clip = (value) => Math.max(low, Math.min(high, value));
  const parts = [svg("line", { class: "grid", x1: 2, x2: W - 2, y1: H / 2, y2: H / 2 })];
  if (low < 0 && high > 0) parts.push(svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 1, y2: H - 1 }));
  if (present(entry.low) && present(entry.high)) {
    parts.push(svg("line", { class: "reach", x1: x(clip(entry.low)), x2: x(clip(entry.high)), y1: H / 2, y2: H / 2, stroke: colour }));
  }
  parts.push(svg("circle", { cx: x(clip(entry.mean)), cy: H / 2, r: 3.4, fill: colour }));
  return svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "whisker", "aria-hidden": "true" }, parts);
}

// Parts of a reward to the left and right of zero; a tick at their sum.
function stackedBar(parts, total, low, high) {
  const [W, H] = [420, 26];
  const x = scale(low, high, 4, W - 4);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "stack", preserveAspectRatio: "none", role: "img",
    "aria-label": `${parts.map((p) => `${p.name} ${number(p.value)}`).join(", ")}, total ${number(total)}` });
  let [left, right] = [0, 0];
  for (const part of parts) {
    const from = part.value < 0 ? (left += part.value) : right;
    if (part.value > 0) right += part.value;
    const width = Math.abs(x(part.value) - x(0));
    if (width < 0.2) continue;
    const bar = svg("rect", { x: x(from), width, y: 5, height: H - 10, rx: 2, fill: part.colour });
    bar.addEventListener("pointermove", (event) => showTooltip(event, [`${metricName(part.name)}: ${number(part.value)}`]));
    bar.addEventListener("pointerleave", hideTooltip);
    picture.append(bar);
  }
  append(picture, [
    svg("line", { class: "axis", x1: x(0), x2: x(0), y1: 1, y2: H - 1 }),
    svg("line", { class: "total", x1: x(total), x2: x(total), y1: 1, y2: H - 1 }),
  ]);
  return picture;
}
