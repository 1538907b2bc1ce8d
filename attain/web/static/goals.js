// Progress to each objective: the estimate with its interval against the target.

import { $, h, s } from "./dom.js";
import { picture, scale, ticks } from "./chart.js";

const STATES = {
  met: "good", reached: "good", "met, unproven": "warn", "reached, unproven": "warn",
  "not yet": "accent", "not met": "bad",
};

export function goals(found) {
  if (!found.length) return h("li", { class: "goal empty" }, "No objectives are recorded yet.");
  const columns = Math.max(1, Math.min(found.length, Math.floor(($("goals").clientWidth + 16) / 306)));
  const width = Math.min(640, ($("goals").clientWidth - 16 * (columns - 1)) / columns - 38);
  return found.map((g) => goal(g, Math.max(width, 200)));
}

function goal(g, width) {
  const kind = STATES[g.state] || "";
  const asides = [
    g.expected && `expected after selection: ${g.expected}`,
    g.baseline_text && `baseline ${g.baseline_text}`,
    g.sealed && "on the sealed rows",
  ].filter(Boolean);
  return h(
    "li",
    { class: "goal" },
    h("header", {}, h("h2", {}, sentence(g.statement)),
      g.state ? h("span", { class: `chip ${kind}` }, g.state) : null),
    h("p", { class: "now" }, g.now || "—", g.interval ? h("small", {}, g.interval) : null),
    g.estimate === null || [g.low, g.high, g.target, g.baseline].every((v) => v === null) ? null : gauge(g, kind, width),
    h("p", { class: "small" }, asides.join(" · ") || (g.estimate === null ? "not measured yet" : "of the best trial so far")),
  );
}

function gauge(g, kind, width) {
  const known = [g.estimate, g.low, g.high, g.target, g.baseline].filter((v) => v !== null);
  const spread = Math.max(...known) - Math.min(...known) || Math.abs(known[0]) * 0.1 || 1;
  const [least, most] = g.bounds;
  const low = Math.max(Math.min(...known) - 0.12 * spread, least ?? -Infinity);
  const high = Math.min(Math.max(...known) + 0.12 * spread, most ?? Infinity);
  const x = scale(low, high, 8, width - 8);
  const parts = [];
  if (g.target !== null) {
    const [start, end] = g.maximize ? [x(g.target), width - 8] : [8, x(g.target)];
    parts.push(s("rect", { class: "good-side", x: start, y: 10, width: Math.max(0, end - start), height: 18, rx: 2 }));
  }
  parts.push(s("line", { class: "axis", x1: 8, x2: width - 8, y1: 28, y2: 28 }));
  for (const [value, text] of ticks(low, high, width > 400 ? 6 : 4)) {
    parts.push(s("line", { class: "axis", x1: x(value), x2: x(value), y1: 28, y2: 32 }));
    parts.push(s("text", { x: x(value), y: 44, "text-anchor": "middle" }, text));
  }
  if (g.baseline !== null) {
    parts.push(s("circle", { class: "base", cx: x(g.baseline), cy: 19, r: 3.5 }));
  }
  const left = x(g.low ?? low);
  const right = x(g.high ?? high);
  if (g.low !== null || g.high !== null) parts.push(s("rect", { class: `span ${kind}`, x: left, y: 16, width: Math.max(1, right - left), height: 6, rx: 3 }));
  parts.push(s("circle", { class: `point ${kind}`, cx: x(g.estimate), cy: 19, r: 4.5 }));
  if (g.target !== null) {
    parts.push(s("line", { class: "target", x1: x(g.target), x2: x(g.target), y1: 6, y2: 32 }));
  }
  const name = `${g.statement}: ${g.now}, interval ${g.interval}${g.state ? `, ${g.state}` : ""}`;
  return picture(width, 48, name, ...parts);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
