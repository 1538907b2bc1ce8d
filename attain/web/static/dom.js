// Nodes from data. Text is only ever set as text: there is no way from here to markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: properties that begin with "on" are listeners, `class` and `data-…` attributes. */
export function h(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

/** The same for a picture. */
export function s(tag, given = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), given, children);
}

function fill(node, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(2).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export const $ = (id) => document.getElementById(id);

const shown = new Map();

/** Draw a part anew, but only if what it shows has changed: focus and selection stay. */
export function show(id, value, draw) {
  const text = JSON.stringify(value);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  const made = draw(value);
  $(id).replaceChildren(...(Array.isArray(made) ? made : [made]).filter(Boolean));
}

/** Forget what was drawn, such as when the width has changed. */
export function stale(id) {
  shown.delete(id);
}

export function setText(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

export function toast(text, seconds = 6) {
  const node = h("p", { class: "toast" }, text);
  $("toasts").append(node);
  setTimeout(() => node.remove(), seconds * 1000);
}

/** Open the one dialog with a title, content and buttons; `close` is among them. */
export function sheet(title, content, buttons = []) {
  const dialog = $("sheet");
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    h("header", {}, h("h2", { id: "sheet-title", tabindex: "-1", autofocus: true }, title), buttons.length ? null : close),
    ...[content].flat(),
    ...(buttons.length ? [h("div", { class: "ends" }, close, ...buttons)] : []),
  );
  if (!dialog.open) dialog.showModal();
  $("sheet-title").focus();
  dialog.scrollTop = 0;
  return dialog;
}

/** Seconds as people say them; the same words as in the report. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

export const count = (n) => n.toLocaleString("en");

export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

export function clockTime(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
