// One trial: its scores, settings, fits and curves, and what can be asked of it.

import { h, s, sheet, toast } from "./dom.js";
import { around, bottom, left, path, picture, scale } from "./chart.js";
import { get } from "./net.js";
import { copyForm, stopTrial } from "./actions.js";
import { STATUS } from "./trials.js";

export async function open(id, actions) {
  try {
    const found = await get(`/api/trial/${encodeURIComponent(id)}`);
    sheet(`${found.id} · ${found.learner}`, content(found), buttons(found, actions));
  } catch (error) {
    toast(error.message);
  }
}

function content(found) {
  const parts = [
    h("p", {}, h("span", { class: `chip ${STATUS[found.status] ?? "bad"}` }, found.status), found.best ? [" ", h("span", { class: "chip accent" }, "best")] : null,
      ` ${found.purpose}${found.round ? `, round ${found.round}` : ""}${found.seconds ? `, ${found.seconds} of computing` : ""}, record ${found.record}`),
    found.message ? h("p", { class: "error" }, found.message) : null,
    h("p", {}, found.reason),
  ];
  const scores = found.metrics.map((name, i) => [name, ...found.values[i]]).filter((v) => v[1]);
  if (scores.length) parts.push(h("h3", {}, "Scores"), plain(["Metric", "Estimate", "Interval"], scores));
  if (found.config.length) parts.push(h("h3", {}, "Settings"), plain(["Parameter", "Value"], found.config));
  if (found.curves.length) parts.push(h("h3", {}, "Learning curves"), learning(found));
  if (found.fits.length) {
    const rows = found.fits.map((f) => [String(f.fold), f.status, f.seconds, f.memory, f.message]);
    parts.push(h("h3", {}, `Fits: ${found.fits.length} of ${found.folds}`), plain(["Fold", "Status", "Time", "Peak memory", "Message"], rows));
  }
  return parts.filter(Boolean);
}

function learning(found) {
  const [width, height] = [Math.min(660, innerWidth - 80), 220];
  const points = found.curves.flatMap((fit) => fit.points);
  const steps = points.map((p) => p[0]);
  const y = around(points.map((p) => p[1]), height - 38, 24);
  const x = scale(Math.min(...steps), Math.max(...steps, Math.min(...steps) + 1), 52, width - 8);
  const lines = found.curves.map((fit) =>
    s("path", { class: `fit ${fit.running ? "now" : ""}`, d: path(fit.points.map((p) => [x(p[0]), y(p[1])])) }),
  );
  const axes = [...left(y, 52, "Loss on rows set aside, a line for each fold", width - 8, 4), ...bottom(x, height - 38, "step", 24)];
  return picture(width, height, `Loss of ${found.id} by step`, ...axes, ...lines);
}

function plain(head, rows) {
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, i) => h(i ? "td" : "th", i ? {} : { scope: "row" }, cell)))))));
}

function buttons(found, actions) {
  const made = [];
  if (actions.stop && found.status === "running" && found.purpose === "search") {
    made.push(h("button", { type: "button", class: "grave", onclick: () => stopTrial(found.id, actions.stop) }, "Stop this trial…"));
  }
  if (actions.copy && found.form.fields.length) {
    made.push(h("button", { type: "button", onclick: () => copyForm(found, actions.copy) }, "Try again with changes…"));
  }
  return made;
}
