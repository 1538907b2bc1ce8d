// The table of all trials; the server sorts, filters and cuts it into pages.

import { $, count, h, plural, show, stale } from "./dom.js";
import { get } from "./net.js";

const query = { sort: "id", down: "1", page: 0, size: 50, text: "", status: "", learner: "", purpose: "" };
const picked = [];
let metrics = [];
let asked = 0;

export function setup(open) {
  const typed = h("input", { type: "search", id: "text", placeholder: "Find a trial or a value", "aria-label": "Find a trial or a value", maxlength: 100, oninput: (e) => later(e.target.value, open) });
  const selects = ["learner", "status", "purpose"].map((name) =>
    h("select", { id: `by-${name}`, "aria-label": name, onchange: (e) => change({ [name]: e.target.value, page: 0 }, open) }),
  );
  $("filters").replaceChildren(typed, ...selects);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  options("by-purpose", ["search", "baseline", "confirm"], "any purpose");
}

let timer = 0;
function later(text, open) {
  clearTimeout(timer);
  timer = setTimeout(() => change({ text, page: 0 }, open), 200);
}

function change(values, open) {
  Object.assign(query, values);
  return load(metrics, open);
}

export async function load(known, open) {
  metrics = known;
  const number = ++asked;
  const found = await get("/api/trials", query);
  if (number !== asked) return; // a newer question is under way
  options("by-learner", found.learners, "any learner");
  options("by-status", found.statuses, "any status");
  show("table", [found.rows, metrics, query], () => table(found.rows, open));
  show("pager", [found.page, found.pages, found.total, found.all, picked], () => pager(found, open));
}

function options(id, names, all) {
  show(id, names, () => [h("option", { value: "" }, all), ...names.map((n) => h("option", { value: n }, n))]);
  $(id).value = query[id.replace("by-", "")];
}

function table(rows, open) {
  const columns = [["id", "Trial"], ["learner", "Learner"], ["status", "Status"], ["round", "Round", "n"],
    ...metrics.map(([metric, words, unit]) => [`metric:${metric}`, capital(words) + (unit ? ` (${unit})` : ""), "n"]), ["seconds", "Time", "n"]];
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "quiet" }, "Compare")),
    ...columns.map((c) => header(c, open)), h("th", { scope: "col" }, "Settings"));
  const body = rows.map((row) => line(row, open));
  if (!rows.length) body.push(h("tr", {}, h("td", { colspan: columns.length + 2, class: "empty" }, "No trial fits.")));
  return [h("caption", { class: "quiet" }, "Trials"), h("thead", {}, head), h("tbody", {}, ...body)];
}

function header([key, words, kind], open) {
  const sorted = query.sort === key;
  const order = sorted ? (query.down === "1" ? "descending" : "ascending") : null;
  const turn = () => change({ sort: key, down: sorted && query.down === "1" ? "0" : "1", page: 0 }, open).then(() => {
    document.querySelector("#table th[aria-sort] button")?.focus();
  });
  return h("th", { scope: "col", class: kind, "aria-sort": order }, h("button", { type: "button", onclick: turn }, words));
}

function line(row, open) {
  const chosen = picked.includes(row.id);
  const box = h("input", { type: "checkbox", checked: chosen, "aria-label": `Compare ${row.id}`, onchange: (e) => pick(row.id, e.target.checked) });
  const settings = row.config.flatMap(([name, value], i) => [i ? ", " : "", `${name.split(".").pop()} `, h("b", {}, value)]);
  return h(
    "tr",
    { class: row.best ? "leader" : null },
    h("td", {}, row.status === "running" ? null : box),
    h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => open(row.id) }, row.id),
      row.best ? [" ", h("span", { class: "chip accent" }, "best")] : null),
    h("td", {}, row.learner, row.purpose === "search" ? null : h("small", {}, ` ${row.purpose}`)),
    h("td", {}, h("span", { class: `chip ${STATUS[row.status] ?? "bad"}` }, row.status)),
    h("td", { class: "n" }, String(row.round)),
    ...row.values.map(([estimate, interval]) => h("td", { class: "n", title: interval || null }, estimate || "—")),
    h("td", { class: "n" }, row.seconds || "—"),
    h("td", { class: "set", title: row.config.map((c) => c.join(" ")).join(", ") }, ...settings),
  );
}

export const STATUS = { done: "good", running: "accent", raced: "", pruned: "", cancelled: "" };

function pick(id, chosen) {
  const at = picked.indexOf(id);
  if (at >= 0) picked.splice(at, 1);
  if (chosen) picked.push(id);
  while (picked.length > 2) picked.shift();
  for (const box of document.querySelectorAll("#table input")) {
    box.checked = picked.includes(box.getAttribute("aria-label").replace("Compare ", ""));
  }
  show("pager", [...last, [...picked]], () => pager(lastFound, lastOpen));
}

let last = [];
let lastFound = null;
let lastOpen = null;

function pager(found, open) {
  [lastFound, lastOpen, last] = [found, open, [found.page, found.pages, found.total, found.all]];
  const go = (page) => () => change({ page }, open).then(() => $("table-scroll").scrollIntoView({ block: "nearest" }));
  const some = found.total === found.all ? "" : `${count(found.total)} of `;
  const compare = picked.length === 2
    ? h("a", { class: "button", href: `#/compare?${new URLSearchParams({ a: picked[0], b: picked[1] })}` }, `Compare ${picked.join(" and ")}`)
    : h("span", {}, picked.length ? `Tick one more to compare with ${picked[0]}` : "Tick two to compare them");
  return [
    compare,
    h("span", {}, `${some}${plural(found.all, "trial")}`),
    h("button", { type: "button", disabled: found.page === 0, onclick: go(0), "aria-label": "First page" }, "«"),
    h("button", { type: "button", disabled: found.page === 0, onclick: go(found.page - 1) }, "Back"),
    h("span", {}, `page ${count(found.page + 1)} of ${count(found.pages)}`),
    h("button", { type: "button", disabled: found.page + 1 >= found.pages, onclick: go(found.page + 1) }, "Next"),
  ];
}

export function redraw() {
  stale("table");
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
