// The solve/leak plane: every run a point with its interval, the Pareto front, the paper's points.

const PHONE = matchMedia("(max-width: 700px)"); // a picture of its own, or its letters would shrink

const HEIGHTS = {
  solve_after: { button: "Solved after", axis: "solve rate after the conversation" },
  delta: { button: "Gain (after − before)", axis: "gain in solve rate" },
  solve_transfer: { button: "Another problem", axis: "solve rate of another problem, afterwards" },
  gain_transfer: { button: "Gain on another", axis: "normalised gain on another problem" },
};

function planeSection(data) {
  const able = (height) => data.plane.filter((p) => p.leaked && p[height]);
  const paths = data.runs.filter((run) => run.path.length > 1);
  if (data.plane.length < 2 && !paths.length && !data.paper) return null; // one lone point
  const heights = Object.keys(HEIGHTS).filter((name) => able(name).length);
  if (data.paper && !heights.includes("delta")) heights.push("delta");
  if (!heights.length && !paths.length) return null;
  if (!heights.length) heights.push("solve_after");
  const holder = h("div", { class: "plane" });
  const start = data.paper && heights.includes("delta") ? "delta" : heights[0];
  const pathsOf = (height) => (height === "solve_after" ? paths : []); // the trail is of that height
  const draw = (height) => replace(holder, planePicture(data, able(height), pathsOf(height), height));
  const choice = h("div", { class: "segmented", role: "group", "aria-label": "Height of the plane" },
    heights.map((name) => h("button", { type: "button", "aria-pressed": String(name === start), on: { click: (event) => {
      for (const b of event.currentTarget.parentNode.children) b.setAttribute("aria-pressed", String(b === event.currentTarget));
      shown = name;
      draw(name);
    } } }, HEIGHTS[name].button)));
  let shown = start;
  draw(start);
  PHONE.addEventListener("change", () => draw(shown));
  return h("section", { id: "plane", "aria-labelledby": "plane-title" },
    h("div", { class: "head" }, h("h2", { id: "plane-title" }, "Teaching against telling"), heights.length > 1 && choice),
    h("p", { class: "lead" }, planeLead(data, paths)),
    holder,
    data.paper && h("p", { class: "source" }, `◇ ${data.paper.source}`));
}

function planeLead(data, paths) {
  const said = ["Up is a student who solves, left is a tutor who does not give the answer away."];
  if (data.plane.length > 1) said.push("The line joins the runs that no other beats on both. Bars are 95 % intervals.");
  if (paths.length) said.push("The trail is the way of training, from pale to strong.");
  return said.join(" ");
}

function planePicture(data, points_, paths, height) {
  const [W, H, L, R, T, B] = PHONE.matches ? [430, 440, 58, 14, 14, 56] : [1190, 500, 66, 30, 18, 56];
  const paper = height === "delta" && data.paper ? data.paper.points : [];
  const xs = [...points_.flatMap((p) => p.leaked), ...paths.flatMap((run) => run.path.map((p) => p[1])), ...paper.map((p) => p.leaked)].filter(present);
  const ys = [...points_.flatMap((p) => p[height]), ...paths.flatMap((run) => run.path.map((p) => p[2])), ...paper.map((p) => p.delta)].filter(present);
  const signed = kindOf(height).signed;
  const [y0, y1] = fitted(ys, signed ? [-1, 1] : [0, 1], signed ? 0 : null);
  const [x0, x1] = fitted(xs, [0, 1], 0);
  const x = scale(x0, x1, L, W - R);
  const y = scale(y0, y1, H - B, T);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": describePlane(points_, height) });
  for (const t of ticks(x0, x1, PHONE.matches ? 3 : 6)) {
    append(picture, [svg("line", { class: "grid", x1: x(t), x2: x(t), y1: T, y2: H - B }),
      svg("text", { class: "tick", x: x(t), y: H - B + 20, "text-anchor": "middle" }, `${Number((t * 100).toFixed(1))}%`)]);
  }
  for (const t of ticks(y0, y1, 5)) {
    append(picture, [svg("line", { class: t === 0 ? "axis" : "grid", x1: L, x2: W - R, y1: y(t), y2: y(t) }),
      svg("text", { class: "tick", x: L - 10, y: y(t) + 4, "text-anchor": "end" }, `${Number((t * 100).toFixed(1))}%`)]);
  }
  append(picture, [
    svg("text", { class: "label", x: (L + W - R) / 2, y: H - 12, "text-anchor": "middle" }, "verdicts that the tutor leaked the answer"),
    svg("text", { class: "label", transform: `translate(16 ${(T + H - B) / 2}) rotate(-90)`, "text-anchor": "middle" },
      HEIGHTS[height].axis),
  ]);
  append(picture, [paper.map((p) => paperPoint(p, x, y)), paths.map((run) => trail(run, x, y)),
    frontLine(points_, height, x, y), points_.map((p) => runPoint(data, p, height, x, y))]);
  placeLabels(picture, points_, paper, height, x, y, W - R);
  return picture;
}

// The range of an axis: all values with some room, never outside what they can be; `zero` is kept.
function fitted(values, [least, most], zero) {
  const all = present(zero) ? [...values, zero] : values;
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = Math.max(high - low, 0.1) * 0.1;
  return [low === zero && zero === least ? least : Math.max(least, low - room), Math.min(most, high + room)];
}

const describePlane = (points_, height) =>
  `Solve rate against leaks. ${points_.map((p) => `${p.label}: leaked ${percent(p.leaked[0])}, ${metricName(height)} ${percent(p[height][0])}`).join("; ")}`;

function frontLine(points_, height, x, y) {
  const front = points_.filter((p) => p.front && present(p.front[height]));
  front.sort((a, b) => a.front[height] - b.front[height]);
  if (front.length < 2) return null;
  return svg("path", { class: "front", d: pathOf(front.map((p) => [x(p.leaked[0]), y(p[height][0])])) });
}

function runPoint(data, point, height, x, y) {
  const [leak, solve] = [point.leaked, point[height]];
  const colour = colourOf(data.runs[point.runs[0]].group);
  const parts = [];
  if (present(leak[1])) parts.push(svg("line", { class: "reach", stroke: colour, x1: x(Math.max(0, leak[1])), x2: x(Math.min(1, leak[2])), y1: y(solve[0]), y2: y(solve[0]) }));
  if (present(solve[1])) parts.push(svg("line", { class: "reach", stroke: colour, x1: x(leak[0]), x2: x(leak[0]), y1: y(solve[1]), y2: y(solve[2]) }));
  if (point.runs.length > 1) {
    point.runs.forEach((_, i) => {
      const [l, s] = [point.leaked_each[i], point[`${height}_each`][i]];
      if (present(l) && present(s)) parts.push(svg("circle", { class: "seed", cx: x(l), cy: y(s), r: 3, fill: colour }));
    });
  }
  const onFront = point.front && present(point.front[height]);
  parts.push(svg("circle", { class: onFront ? "point on-front" : "point", cx: x(leak[0]), cy: y(solve[0]), r: onFront ? 7 : 6, fill: colour }));
  const group = svg("g", null, parts);
  group.addEventListener("pointermove", (event) => showTooltip(event, [point.label,
    `${metricName(height)}: ${metricValue(height, solve[0])}${intervalText(height, solve[1], solve[2])}`,
    `Leaked: ${percent(leak[0])}${intervalText("leaked", leak[1], leak[2])}`,
    point.runs.length > 1 ? `${point.runs.length} seeds` : data.runs[point.runs[0]].name]));
  group.addEventListener("pointerleave", hideTooltip);
  return group;
}

// Labels go where no earlier label or point stands; the paper's give way, and then only the mouse
// tells.
function placeLabels(picture, points_, paper, height, x, y, right) {
  const marks = [...points_.map((p) => ({ text: p.label, x: x(p.leaked[0]), y: y(p[height][0]), kind: "name" })),
    ...paper.map((p) => ({ text: p.label.replace("Qwen2.5-7B-RL-", ""), x: x(p.leaked), y: y(p.delta), kind: "paper-name" }))];
  const taken = marks.map((mark) => [mark.x - 7, mark.y - 7, 14, 14]);
  for (const mark of marks) {
    const text = mark.text.length > 44 ? `${mark.text.slice(0, 43)}…` : mark.text;
    const width = (mark.kind === "name" ? 8 : 6.2) * text.length + 4;
    const boxOf = ([dx, dy, anchor]) => [anchor === "end" ? mark.x + dx - width : mark.x + dx, mark.y + dy - 11, width, 14];
    const clashes = ([bx, by, bw, bh]) => bx < 66 || bx + bw > right + 16 ||
      taken.some(([tx, ty, tw, th]) => bx < tx + tw && tx < bx + bw && by < ty + th && ty < by + bh);
    const spot = SPOTS.find((s) => !clashes(boxOf(s)));
    if (!spot && mark.kind !== "name") continue;
    const [dx, dy, anchor] = spot || SPOTS[0];
    taken.push(boxOf([dx, dy, anchor]));
    picture.append(svg("text", { class: mark.kind, x: mark.x + dx, y: mark.y + dy, "text-anchor": anchor }, text));
  }
}

const SPOTS = [[11, 4, "start"], [-11, 4, "end"], [9, -10, "start"], [9, 19, "start"], [-9, -10, "end"], [-9, 19, "end"]];

function trail(run, x, y) {
  const colour = colourOf(run.group);
  const last = run.path.length - 1;
  const parts = run.path.slice(1).map(([, leak, solve], i) => {
    const [, fromLeak, fromSolve] = run.path[i];
    return svg("line", { class: "trail", stroke: colour, opacity: 0.15 + (0.75 * (i + 1)) / last,
      x1: x(fromLeak), y1: y(fromSolve), x2: x(leak), y2: y(solve) });
  });
  const dots = run.path.map(([step, leak, solve], i) => {
    const dot = svg("circle", { cx: x(leak), cy: y(solve), r: i === 0 ? 4.5 : 3, fill: i === 0 ? "var(--ground)" : colour, stroke: colour, "stroke-width": i === 0 ? 2 : 0, opacity: 0.3 + (0.7 * i) / last + (i === 0 ? 0.7 : 0) });
    dot.addEventListener("pointermove", (event) => showTooltip(event, [`up to step ${step}`, `Solved after: ${percent(solve)}`, `Leaked: ${percent(leak)}`]));
    dot.addEventListener("pointerleave", hideTooltip);
    return dot;
  });
  return svg("g", null, parts, dots);
}

function paperPoint(p, x, y) {
  const [px, py] = [x(p.leaked), y(p.delta)];
  const mark = svg("path", { class: "paper", d: `M${px} ${py - 5}L${px + 5} ${py}L${px} ${py + 5}L${px - 5} ${py}Z` });
  mark.addEventListener("pointermove", (event) => showTooltip(event, [`${p.label} (paper)`, `Gain: ${points(p.delta)} pp`, `Leaked: ${percent(p.leaked)}`]));
  mark.addEventListener("pointerleave", hideTooltip);
  return mark;
}
