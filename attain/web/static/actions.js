// What the run can be asked. Only what it can do now is offered; everything says first what it does.

import { $, h, sheet, show } from "./dom.js";
import { brief } from "./chart.js";
import { ask } from "./net.js";

export function draw(actions) {
  show("acts", actions, () => [
    actions.extend && h("button", { type: "button", onclick: () => extend(actions.extend) }, "Add budget…"),
    actions.end && h("button", { type: "button", onclick: () => confirm("Stop after the running trials", actions.end, "Stop after them", { action: "end" }) }, "Stop after trials…"),
    actions.pause && h("button", { type: "button", onclick: () => confirm("Pause the run", actions.pause, "Pause", { action: "pause" }) }, "Pause…"),
  ]);
}

export function stopTrial(trial, what) {
  confirm(`Stop ${trial}`, what, "Stop it", { action: "stop", trial });
}

function confirm(title, what, word, request) {
  form(title, [h("p", {}, what)], word, () => request);
}

/** A dialog with one button that asks; the server's refusal is shown in it. */
function form(title, content, word, read) {
  const problem = h("p", { class: "error", role: "alert" });
  const button = h("button", { type: "submit", class: "main", form: "asking" }, word);
  const send = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    button.disabled = true;
    try {
      await ask(read());
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    }
    button.disabled = false;
  };
  const dialog = sheet(title, h("form", { id: "asking", onsubmit: send, novalidate: true }, ...content, problem), [button]);
  (dialog.querySelector("input, select") || button).focus();
}

function extend(what) {
  const trials = h("input", { id: "more-trials", type: "number", min: 1, step: 1, inputmode: "numeric" });
  const minutes = h("input", { id: "more-minutes", type: "number", min: 0, step: "any", inputmode: "decimal" });
  const fields = h("div", { class: "fields" },
    h("label", { for: "more-trials" }, "Trials to add"), trials,
    h("label", { for: "more-minutes" }, "Minutes to add"), minutes);
  form("Add budget", [h("p", {}, what), fields], "Add", () => ({
    action: "extend",
    trials: trials.value === "" ? null : Number(trials.value),
    minutes: minutes.value === "" ? null : Number(minutes.value),
  }));
}

export function copyForm(found, what) {
  const inputs = found.form.fields.map(field);
  const read = () => {
    const values = {};
    for (const { given, value } of inputs) {
      const now = value();
      if (now !== given.value) values[given.name] = now;
    }
    return { action: "copy", trial: found.id, values };
  };
  const fields = h("div", { class: "fields" }, ...inputs.flatMap((i) => i.nodes));
  form(`Try ${found.id} with changes`, [h("p", {}, what), fields], "Ask for it", read);
}

function field(given, i) {
  const id = `change-${i}`;
  const label = h("label", { for: id }, given.title);
  if (given.kind === "choice") {
    const options = given.choices.map((c, k) => h("option", { value: k, selected: c === given.value }, String(c)));
    const select = h("select", { id }, ...options);
    return { given, nodes: [label, select], value: () => given.choices[Number(select.value)] };
  }
  const input = h("input", { id, type: "number", step: given.kind === "int" ? 1 : "any", value: given.value });
  const unit = given.unit ? ` ${given.unit}` : "";
  const ends = h("small", {}, `${brief(given.low)} to ${brief(given.high)}${unit}`);
  return { given, nodes: [label, input, ends], value: () => Number(input.value) };
}
