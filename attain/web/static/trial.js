// One trial: its scores, settings, fits and curves, and what can be asked of it.

import { h, sheet, toast } from "./dom.js";
import { brief } from "./chart.js";
import { get } from "./net.js";
import { copyForm, stopTrial } from "./actions.js";
import { curves } from "./overview.js";
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
      ` ${found.purpose}, round ${found.round}${found.seconds ? `, ${found.seconds} of computing` : ""}, record ${found.record}`),
    found.message ? h("p", { class: "error" }, found.message) : null,
    h("p", {}, found.reason),
  ];
  const scores = found.metrics.map((name, i) => [name, ...found.values[i]]).filter((v) => v[1]);
  if (scores.length) parts.push(h("h3", {}, "Scores"), plain(["Metric", "Estimate", "Interval"], scores));
  if (found.config.length) parts.push(h("h3", {}, "Settings"), plain(["Parameter", "Value"], found.config));
  if (found.curves.length) parts.push(h("h3", {}, "Learning curves"), range(found.curves), curves(found.curves, 640, 180, `Loss of ${found.id} by step`));
  if (found.fits.length) {
    const rows = found.fits.map((f) => [String(f.fold), f.status, f.seconds, f.memory, f.message]);
    parts.push(h("h3", {}, `Fits: ${found.fits.length} of ${found.folds}`), plain(["Fold", "Status", "Time", "Peak memory", "Message"], rows));
  }
  return parts.filter(Boolean);
}

function range(found) {
  const losses = found.flatMap((fit) => fit.points.map((p) => p[1]));
  const steps = found.flatMap((fit) => fit.points.map((p) => p[0]));
  const text = `Loss on rows set aside, from ${brief(Math.max(...losses))} to ${brief(Math.min(...losses))}, over ${brief(Math.max(...steps))} steps.`;
  return h("p", { class: "small" }, text);
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
