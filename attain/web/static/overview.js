// The first page but its big chart: where the run is, what runs, what was decided, what is wrong.

import { $, clockTime, count, duration, h, plural, s, setText, show } from "./dom.js";
import { goals } from "./goals.js";
import { path, picture, scale } from "./chart.js";

const PULSES = {
  running: "Running", silent: "No heartbeat", died: "The run has died", stopped: "Stopped", ended: "Ended",
};
const VERDICTS = { met: "good", "met, unproven": "warn", "not met": "bad" };
const MISSED = 15; // seconds without a heartbeat after which it is called missing, as in pulse.py

export function draw(state, open) {
  show("steps", state.steps, (steps) => steps.map(step));
  show("goals", state.goals, goals);
  show("running", [state.running, state.waiting, state.doing], () => running(state, open));
  setText("running-title", state.pulse.state === "running" ? "Running now" : "Under way when it stopped");
  $("running-card").hidden = state.pulse.state === "ended";
  $("space-card").hidden = !state.space.length;
  show("space", state.space, (lines) => lines.map((line) => h("li", {}, line)));
  show("decisions", state.decisions, decisions);
  show("alerts", state.alerts, (found) => alerts(found, open));
  show("notices", [state.verdict, state.trouble, state.reading, state.read, state.pulse.state, state.pulse.text], () => notices(state));
  setText("title", state.title || "A study");
  setText("count", state.counts.trials ? count(state.counts.trials) : "");
  setText("foot", `${state.folder} · record ${count(state.read.records)}`);
  document.title = `${PULSES[state.pulse.state] || ""} · ${state.title || "attain"}`;
}

function step(found) {
  const word = { done: "done", active: "under way", waiting: "not begun" }[found.state];
  return h(
    "li",
    { class: found.state, "aria-current": found.state === "active" ? "step" : null },
    h("b", {}, found.number ? `${found.number} ${found.name}` : found.name),
    h("span", { class: "quiet" }, ` (${word}) `),
    h("span", {}, found.fact),
  );
}

function running(state, open) {
  const found = state.running.map((trial) => underWay(trial, open));
  if (state.doing) found.unshift(h("li", {}, h("p", {}, state.doing)));
  if (state.waiting) found.push(h("li", {}, h("p", { class: "small" }, `and ${count(state.waiting)} more`)));
  return found.length ? found : [h("li", { class: "empty" }, "Nothing is running.")];
}

function underWay(trial, open) {
  const purpose = trial.purpose === "search" ? "" : ` · ${trial.purpose}`;
  const settings = trial.config.map(([name, value]) => `${name.split(".").pop()} ${value}`).join(", ");
  return h(
    "li",
    {},
    h("p", {}, h("button", { class: "link", type: "button", onclick: () => open(trial.id) }, trial.id),
      ` ${trial.learner}${purpose}`, h("small", {}, ` · ${trial.done} of ${plural(trial.folds, "fit")}`)),
    h("p", { class: "small", title: settings }, settings || trial.reason),
    spark(trial),
  );
}

/** Small curves: fits that have ended in grey, those under way in colour. */
function spark(trial) {
  if (!trial.curves.length) return bars(trial);
  return curves(trial.curves, 96, 34, `Loss of ${trial.id} by step`);
}

function curves(found, width, height, name) {
  const points = found.flatMap((fit) => fit.points);
  const x = scale(Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]), 1), 2, width - 2);
  const low = Math.min(...points.map((p) => p[1]));
  const y = scale(low, Math.max(...points.map((p) => p[1]), low + 1e-9), height - 3, 3);
  const lines = found.map((fit) =>
    s("path", { class: `fit ${fit.running ? "now" : ""}`, d: path(fit.points.map((p) => [x(p[0]), y(p[1])])) }),
  );
  return picture(width, height, name, ...lines);
}

function bars(trial) {
  const each = Math.min(14, 92 / trial.folds);
  const boxes = Array.from({ length: Math.min(trial.folds, 46) }, (_, i) =>
    s("rect", { x: i * each, y: 13, width: Math.max(each - 2, 1), height: 8, rx: 2, class: i < trial.done ? "point" : "span" }),
  );
  return picture(96, 34, `${trial.done} of ${trial.folds} fits done`, ...boxes);
}

function decisions(found) {
  if (!found.length) return h("li", { class: "empty" }, "Nothing has been decided yet.");
  return found.map((d) =>
    h("li", {}, h("time", { datetime: new Date(d.at * 1000).toISOString() }, clockTime(d.at)),
      h("p", {}, h("b", {}, /[.?!]$/.test(d.title) ? `${d.title} ` : `${d.title}. `), d.text)),
  );
}

function alerts(found, open) {
  if (!found.length) return h("li", { class: "none" }, "Nothing needs your attention.");
  return found.map((alert) =>
    h("li", { class: alert.level }, prose(alert.text), alert.trial
      ? [" ", h("button", { class: "link", type: "button", onclick: () => open(alert.trial) }, `See ${alert.trial}`)]
      : null),
  );
}

function notices(state) {
  const found = [];
  if (state.trouble) found.push(notice("bad", "The study cannot be read", state.trouble));
  if (["died", "silent"].includes(state.pulse.state)) {
    found.push(notice(state.pulse.state === "died" ? "bad" : "warn", PULSES[state.pulse.state], sentence(state.pulse.text)));
  } else if (state.pulse.state === "stopped" && !state.trouble) {
    found.push(notice("", "Stopped", sentence(state.pulse.text)));
  }
  if (state.verdict) found.push(notice(VERDICTS[state.verdict.state] || "", state.verdict.title, sentence(state.verdict.text)));
  if (state.reading && state.read.total) {
    const bar = h("progress", { max: state.read.total, value: state.read.records, "aria-label": "Reading the ledger" });
    found.push(h("div", { class: "notice" }, h("p", {}, `Reading ${count(state.read.total)} records… `, bar)));
  }
  return found;
}

function notice(kind, title, text) {
  return h("div", { class: `notice ${kind}` }, h("h2", {}, title), h("p", {}, prose(text)));
}

/** What changes with every second, without the server: ages and clocks. */
export function tick(state, now, link) {
  const pulse = $("pulse");
  const beat = state.pulse.beat ? Math.max(0, now - state.pulse.beat) : null;
  let kind = state.pulse.state;
  let text = PULSES[kind] || "";
  if (kind === "running" && beat > MISSED) [kind, text] = ["running late", `No heartbeat for ${duration(beat)}`];
  if (["silent", "died"].includes(kind) && beat !== null) text += ` · last sign of life ${duration(beat)} ago`;
  if (link === "lost") [kind, text] = ["lost", "The dashboard does not answer; what is shown may be old"];
  if (link === "closed") [kind, text] = ["lost", "Open the address that attain watch printed once more"];
  if (pulse.className !== `pulse ${kind}`) pulse.className = `pulse ${kind}`;
  setText("pulse", text);
  show("spent", spentNow(state.spent, now), spent);
}

function spentNow(found, now) {
  const running = found.since === null ? 0 : Math.max(0, now - found.since);
  return { ...found, seconds: Math.round(found.seconds + running), left: found.left === null ? null : Math.max(0, Math.round(found.left - running)) };
}

function spent(found) {
  const rows = [];
  if (found.trials_total) rows.push(meter("Trials", found.trials, found.trials_total, count));
  if (found.seconds_total) rows.push(meter("Time", found.seconds, found.seconds_total, duration));
  else if (found.seconds) rows.push(h("p", {}, `${duration(found.seconds)} spent, no limit of time`));
  if (found.left !== null) rows.push(h("p", { class: "small" }, `About ${duration(found.left)} left for the search.`));
  return rows.length ? rows : h("p", { class: "empty" }, "The search has not begun.");
}

function meter(name, value, total, say) {
  const bar = h("i");
  bar.style.width = `${Math.min(100, (100 * value) / total).toFixed(1)}%`;
  return h(
    "div",
    { class: "meter" },
    h("p", {}, h("span", {}, `${name}: ${say(value)}`), h("span", {}, `of ${say(total)}`)),
    h("div", { class: "bar", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": total, "aria-valuenow": Math.min(value, total), "aria-valuetext": `${say(value)} of ${say(total)}` }, bar),
  );
}

/** Text in which words between backticks are code. */
function prose(text) {
  const parts = text.split("`");
  return parts.length % 2 ? parts.map((part, i) => (i % 2 ? h("code", {}, part) : part)) : [text];
}

const sentence = (text) => {
  const whole = text.trim();
  return whole.charAt(0).toUpperCase() + whole.slice(1) + (/[.!?…]$/.test(whole) || !whole ? "" : ".");
};
