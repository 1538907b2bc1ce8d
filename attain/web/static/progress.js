// The lead metric of every trial, and of the best so far, by trial or by time.

import { $, count, h, s } from "./dom.js";
import { around, bottom, brief, left, middle, path, picture, scale, stairs, tip } from "./chart.js";
import { get } from "./net.js";

let data = null;
let byTime = false;

export function setup(open) {
  const buttons = [["by trial", false], ["by time", true]].map(([text, value]) =>
    h("button", { type: "button", "aria-pressed": String(value === byTime), onclick: () => turn(value, open) }, text),
  );
  $("progress-by").replaceChildren(...buttons);
}

function turn(value, open) {
  byTime = value;
  setup(open);
  draw(open);
}

export async function load(open) {
  data = await get("/api/progress");
  draw(open);
}

export function draw(open) {
  const place = $("progress");
  if (!data || !data.dots.length) {
    place.replaceChildren(h("p", { class: "empty" }, "The first trial has not been scored yet."));
    $("progress-legend").replaceChildren();
    return;
  }
  const width = Math.max(place.clientWidth, 280);
  place.replaceChildren(chart(data, width, width < 480 ? 240 : 300, open));
  $("progress-legend").replaceChildren(...legend(data));
}

function chart(d, width, height, open) {
  const foot = height - 38;
  const values = middle(d.dots.map((dot) => dot[2]));
  values.push(...d.best.map((b) => b[2]), ...(d.target === null ? [] : [d.target]));
  const y = around(values, foot, 26);
  const at = byTime ? 1 : 0;
  const last = byTime
    ? Math.max(...d.dots.map((dot) => dot[1]), 0.1)
    : Math.max(d.total, ...d.dots.map((dot) => dot[0]));
  const x = scale(0, last * 1.01, 52, width - 8);
  const title = d.metric + (d.unit ? ` in ${d.unit}` : "");
  const parts = [
    ...left(y, 52, title.charAt(0).toUpperCase() + title.slice(1), width - 8),
    ...bottom(x, foot, byTime ? "minutes since the search began" : "trials scored", 26, width < 480 ? 4 : 7),
    ...(byTime ? [] : [...stubs(d.raced, "raced", x, foot), ...stubs(d.failed, "failed", x, foot)]),
    ...dots(d, x, y, at, open),
    ...best(d, x, y, at),
    ...level(d.baseline, y, 52, width - 8, "reference", "baseline"),
    ...level(d.target, y, 52, width - 8, "target", "target"),
  ];
  const top = d.best.at(-1);
  const name = `${title} of ${count(d.total)} trials; the best so far, ${top?.[5]}, has ${brief(top?.[2])}`;
  return picture(width, height, name, ...parts.filter(Boolean));
}

/** Trials without a score stand on the axis. */
function stubs(places, kind, x, foot) {
  return places.map((place) => s("line", { class: kind, x1: x(place), x2: x(place), y1: foot - 6, y2: foot }));
}

function dots(d, x, y, at, open) {
  return d.dots.map((dot) => {
    const [, , value, learner, trial] = dot;
    const mark = s(
      "circle",
      { class: `mark c${learner % 8}`, cx: x(dot[at]).toFixed(1), cy: y(value).toFixed(1), r: d.dots.length > 400 ? 2.2 : 3.5 },
      tip(`${trial}, ${d.learners[learner]}: ${brief(value)}`),
    );
    mark.addEventListener("click", () => open(trial));
    return mark;
  });
}

function best(d, x, y, at) {
  if (!d.best.length) return [];
  const points = d.best.map((b) => [x(b[at]), y(b[2])]);
  const end = x.end;
  const low = d.best.map((b) => [x(b[at]), y(b[3] ?? b[2])]);
  const high = d.best.map((b) => [x(b[at]), y(b[4] ?? b[2])]);
  const outline = [...steps(high, end), ...steps(low, end).reverse()];
  return [
    s("path", { class: "band", d: `${path(outline)}Z` }),
    s("path", { class: "best", d: `${stairs(points)}H${end}` }),
  ];
}

function steps(points, end) {
  return points.flatMap(([x, y], i) => [[x, y], [points[i + 1]?.[0] ?? end, y]]);
}

function level(value, y, start, end, kind, word) {
  if (value === null || value < y.low || value > y.high) return [];
  return [
    s("line", { class: kind, x1: start, x2: end, y1: y(value), y2: y(value) }),
    s("text", kind === "target"
      ? { class: "target-label", x: end, y: y(value) - 5, "text-anchor": "end" }
      : { x: start + 6, y: y(value) - 5 }, `${word} ${brief(value)}`),
  ];
}

function legend(d) {
  const used = new Set(d.dots.map((dot) => dot[3]));
  const names = d.learners.map((name, i) => [name, i]).filter(([, i]) => used.has(i));
  const notes = [
    d.raced_count && `${count(d.raced_count)} were clearly behind and ended early`,
    d.failed_count && `${count(d.failed_count)} failed`,
    d.shown < d.known && `${count(d.shown)} of ${count(d.known)} are drawn`,
  ].filter(Boolean);
  return [
    ...names.slice(0, 12).map(([name, i]) => h("span", {}, h("i", { class: `c${i % 8}` }), name)),
    ...notes.map((text) => h("span", {}, text)),
  ];
}
