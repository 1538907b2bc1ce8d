// Two trials side by side: what differs, whether it matters, and on which rows.

import { $, count, h, plural, s } from "./dom.js";
import { around, picture } from "./chart.js";
import { get } from "./net.js";

export function setup() {
  const inputs = ["a", "b"].map((side) =>
    h("label", {}, side === "a" ? "Trial " : "and ", h("input", { id: `pair-${side}`, size: 8, required: true, maxlength: 40, placeholder: side === "a" ? "t0001" : "t0002" })),
  );
  $("pair").replaceChildren(...inputs, h("button", { type: "submit", class: "main" }, "Compare"));
  $("pair").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = { a: $("pair-a").value.trim(), b: $("pair-b").value.trim() };
    location.hash = `/compare?${new URLSearchParams(values)}`;
  });
  say("Choose two trials that have been scored, here or by ticking them in the table.");
}

function say(text, kind = "empty") {
  $("pair-result").replaceChildren(h("p", { class: kind }, text));
}

let shown = "";

export async function load(a, b) {
  if (!a || !b || shown === `${a} ${b}`) return;
  $("pair-a").value = a;
  $("pair-b").value = b;
  say("Comparing…");
  try {
    const found = await get("/api/compare", { a, b });
    shown = `${a} ${b}`;
    $("pair-result").replaceChildren(...result(found, a, b));
  } catch (error) {
    say(error.message, "error");
  }
}

function result(found, a, b) {
  return [
    h("h3", {}, "Does it matter?"),
    found.note ? h("p", { class: "small" }, found.note) : null,
    found.tests.length ? tests(found, a, b) : null,
    h("h3", {}, "Settings"),
    h("div", { class: "scroll" }, settings(found.settings, a, b)),
    ...found.flips.flatMap((flip) => flips(flip, a, b)),
  ].filter(Boolean);
}

function tests(found, a, b) {
  const rows = found.tests.map((t) =>
    t.error
      ? h("tr", {}, h("th", { scope: "row" }, t.metric), h("td", { colspan: 5 }, t.error))
      : h("tr", {}, h("th", { scope: "row" }, capital(t.metric)), h("td", { class: "n" }, t.values[0]), h("td", { class: "n" }, t.values[1]),
          h("td", { class: "n" }, `${t.difference} (${t.interval})`), h("td", {}, interval(t)),
          h("td", {}, h("span", { class: `chip ${t.winner ? "accent" : ""}` }, t.answer), h("small", {}, ` ${t.method}`))),
  );
  const head = ["Metric", a, b, `${a} − ${b}`, "", `Over ${plural(found.rows, "row")}`];
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...head.map((text, i) => h("th", { scope: "col", class: i > 0 && i < 4 ? "n" : null }, text)))), h("tbody", {}, ...rows)));
}

function interval(t) {
  const [estimate, low, high] = t.ends;
  if (low === null || high === null) return "";
  const x = around([low, high, 0], 2, 118);
  return picture(120, 18, `difference ${t.difference}, interval ${t.interval}`,
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: 17 }),
    s("rect", { class: "span", x: x(low), y: 7, width: Math.max(1, x(high) - x(low)), height: 4, rx: 2 }),
    s("circle", { class: "point", cx: x(estimate), cy: 9, r: 4 }));
}

function settings(found, a, b) {
  const rows = found.map((e) =>
    h("tr", { class: e.differs ? null : "same" }, h("th", { scope: "row" }, e.name), h("td", {}, e.a || "—"), h("td", {}, e.b || "—"), h("td", {}, e.differs ? "differs" : "same")),
  );
  return h("table", {}, h("thead", {}, h("tr", {}, ...["Setting", a, b, ""].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows));
}

function flips(flip, a, b) {
  const title = h("h3", {}, `${flip.title}: ${plural(flip.count, "row")}`);
  if (!flip.examples.length) return [title];
  const cells = flip.examples[0].cells.map(([name]) => name);
  const head = ["Row", "Truth", a, b, ...cells];
  const rows = flip.examples.map((e) =>
    h("tr", {}, h("th", { scope: "row" }, count(e.row)), h("td", {}, e.truth), h("td", {}, e.a), h("td", {}, e.b), ...e.cells.map(([, value]) => h("td", {}, value))),
  );
  return [title, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": flip.title }, h("table", {}, h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)))];
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
