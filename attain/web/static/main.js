// Puts the page together: one stream of states in, three pages out.

import { $, stale } from "./dom.js";
import { heed, listen } from "./net.js";
import * as actions from "./actions.js";
import * as compare from "./compare.js";
import * as overview from "./overview.js";
import * as parallel from "./parallel.js";
import * as progress from "./progress.js";
import * as trial from "./trial.js";
import * as trials from "./trials.js";

const PAGES = ["overview", "trials", "compare"];
const REST = 2000; // milliseconds between two readings of the same numbers

let state = null;
let link = "open";
let ahead = 0; // how far the server's clock is ahead of this one, in seconds
const read = new Map();

const open = (id) => trial.open(id, state?.actions ?? {});

function page() {
  const name = location.hash.replace(/^#\/?/, "").split("?")[0];
  return PAGES.includes(name) ? name : "overview";
}

function turn() {
  for (const name of PAGES) $(name).hidden = name !== page();
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.dataset.page === page()) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const values = new URLSearchParams(location.hash.split("?")[1] ?? "");
  if (page() === "compare") compare.load(values.get("a"), values.get("b"));
  refresh();
}

/** Read a page's numbers when they are new, at most every other second, and only while seen. */
function refresh() {
  if (!state || document.hidden) return;
  const counts = JSON.stringify([state.counts, state.read.records, state.goals.length]);
  if (page() === "overview") renew("progress", counts, () => progress.load(open));
  if (page() === "trials") {
    renew("trials", counts, () => trials.load(state.metrics, open));
    renew("parallel", counts, () => parallel.load(open));
  }
}

async function renew(name, counts, load) {
  const known = read.get(name) ?? { counts: "", busy: false };
  if (known.busy || known.counts === counts) return;
  read.set(name, { counts, busy: true });
  try {
    await load();
  } catch {
    read.set(name, { counts: "", busy: true });
  }
  setTimeout(() => {
    read.set(name, { ...read.get(name), busy: false });
    refresh();
  }, REST);
}

function onState(found) {
  state = found;
  ahead = found.now - Date.now() / 1000;
  link = "open";
  overview.draw(state, open);
  actions.draw(state.actions);
  heed(state.answers);
  tick();
  refresh();
  document.body.dataset.ready = "yes";
}

function tick() {
  if (state) overview.tick(state, Date.now() / 1000 + ahead, link);
}

function onLink(now) {
  link = now;
  tick();
}

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  stale("goals");
  if (state) overview.draw(state, open);
  progress.draw(open);
  parallel.draw(open);
});
addEventListener("hashchange", turn);
document.addEventListener("visibilitychange", refresh);
setInterval(tick, 1000);

trials.setup(open);
compare.setup();
progress.setup(open);
turn();
listen(onState, onLink);
