// Parallel coordinates: a line for each configuration across one axis for each parameter.

import { $, count, h, s } from "./dom.js";
import { brief, path, picture, scale, tip } from "./chart.js";
import { get } from "./net.js";

let data = null;
let brushes = new Map();

export async function load(open) {
  const select = $("parallel-learner");
  data = await get("/api/parallel", { learner: select.value });
  const names = data.learners.map((n) => h("option", { value: n, selected: n === data.learner }, n));
  select.replaceChildren(...names);
  select.onchange = () => {
    brushes = new Map();
    load(open);
  };
  draw(open);
}

export function draw(open) {
  const place = $("parallel");
  if (!data || data.lines.length < 2 || data.axes.length < 2) {
    place.replaceChildren(h("p", { class: "empty" }, "There is something to see once two trials of a learner are scored."));
    $("parallel-legend").replaceChildren();
    return;
  }
  const width = Math.max(place.clientWidth, data.axes.length * 76);
  place.style.overflowX = width > place.clientWidth ? "auto" : "";
  place.replaceChildren(chart(width, 280, open));
  const thinned = data.shown < data.total ? `${count(data.shown)} of ${count(data.total)} trials are drawn, the best among them. ` : "";
  $("parallel-legend").replaceChildren(h("span", {}, `${thinned}The best is orange; blue is the better half. Drag along an axis to keep only lines through that part.`));
}

function chart(width, height, open) {
  const [top, foot] = [48, height - 22];
  const step = (width - 120) / (data.axes.length - 1);
  const axes = data.axes.map((axis, i) => ({ ...axis, x: 60 + i * step, at: position(axis, foot, top) }));
  const threads = data.lines.map((line) => thread(line, axes, open));
  const posts = axes.flatMap((axis, i) => post(axis, i, top, foot, step, () => dim(threads, axes)));
  const name = `${data.lines.length} configurations of ${data.learner} across ${data.axes.map((a) => a.title).join(", ")}`;
  dim(threads, axes);
  return picture(width, height, name, ...threads.map((t) => t.node), ...posts);
}

function position(axis, foot, top) {
  if (axis.choices) {
    const at = new Map(axis.choices.map((c, i) => [c, i]));
    const y = scale(0, Math.max(axis.choices.length - 1, 1), foot - 8, top + 8);
    return (value) => (value === null ? null : y(at.get(String(value)) ?? 0));
  }
  const y = axis.high > axis.low ? scale(axis.low, axis.high, foot, top, axis.log) : () => (foot + top) / 2;
  return (value) => (value === null ? null : y(value));
}

function thread([trial, values, rank], axes, open) {
  const points = axes.map((axis, i) => [axis.x, axis.at(values[i])]).filter(([, y]) => y !== null);
  const quarter = Math.min(3, Math.floor((4 * rank) / data.lines.length));
  const kind = rank === 0 ? "top" : `q${quarter}`;
  const node = s("path", { class: `thread ${kind}`, d: path(points) }, tip(`${trial}: ${brief(values.at(-1))}`));
  node.addEventListener("click", () => open(trial));
  return { node, values };
}

function post(axis, i, top, foot, step, change) {
  const name = axis.title.length > step / 6.4 ? `${axis.title.slice(0, Math.max(3, Math.floor(step / 6.4) - 1))}…` : axis.title;
  const y = i % 2 && step < 110 ? top - 14 : top - 26;
  const ends = axis.choices
    ? axis.choices.map((c) => [c.slice(0, 14), axis.at(c) + 4])
    : [[brief(axis.high), top - 2], [brief(axis.low), foot + 14]];
  const brush = s("rect", { class: "brush", x: axis.x - 6, width: 12, y: 0, height: 0 });
  const grip = s("rect", { class: "grip", x: axis.x - 10, y: top - 6, width: 20, height: foot - top + 12 });
  drag(grip, brush, i, top - 6, foot + 6, change);
  place(brush, brushes.get(i));
  return [
    s("line", { class: "post", x1: axis.x, x2: axis.x, y1: top, y2: foot }),
    s("text", { class: "strong", x: axis.x, y, "text-anchor": "middle" }, name, tip(axis.title)),
    ...ends.map(([text, at]) => s("text", { x: axis.x + (axis.choices ? 8 : 0), y: at, "text-anchor": axis.choices ? "start" : "middle" }, text)),
    brush,
    grip,
  ];
}

function drag(grip, brush, i, top, foot, change) {
  let from = null;
  const at = (event) => {
    const box = grip.ownerSVGElement.getBoundingClientRect();
    return Math.min(Math.max(event.clientY - box.top, top), foot);
  };
  grip.addEventListener("pointerdown", (event) => {
    from = at(event);
    grip.setPointerCapture(event.pointerId);
  });
  grip.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const range = [Math.min(from, at(event)), Math.max(from, at(event))];
    if (range[1] - range[0] > 3) brushes.set(i, range);
    else brushes.delete(i);
    place(brush, brushes.get(i));
    change();
  });
  grip.addEventListener("pointerup", (event) => {
    if (from !== null && Math.abs(at(event) - from) <= 3) brushes.delete(i);
    from = null;
    place(brush, brushes.get(i));
    change();
  });
}

function place(brush, range) {
  brush.setAttribute("y", range ? range[0] : 0);
  brush.setAttribute("height", range ? range[1] - range[0] : 0);
}

function dim(threads, axes) {
  for (const { node, values } of threads) {
    const inside = [...brushes].every(([i, [low, high]]) => {
      const y = axes[i]?.at(values[i]);
      return y !== null && y !== undefined && y >= low && y <= high;
    });
    node.classList.toggle("out", !inside);
  }
}
