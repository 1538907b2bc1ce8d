// The only ways to the server: reading, asking, and listening to one stream.

import { toast } from "./dom.js";

const seal = document.querySelector('meta[name="attain-seal"]').content;

/** Numbers of one address; throws an Error with the server's own words. */
export async function get(path, values = {}) {
  const query = new URLSearchParams(values).toString();
  return answer(await fetch(query ? `${path}?${query}` : path, { credentials: "same-origin" }));
}

/** Ask something of the run. The answer comes later, with the state. */
export async function ask(request) {
  const asked = await answer(
    await fetch("/api/ask", {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-Attain-Seal": seal },
      body: JSON.stringify(request),
    }),
  );
  waiting.add(asked.id);
  toast(`Asked: ${asked.said}.`);
  return asked;
}

const waiting = new Set();

/** Tell what became of the requests of this page. */
export function heed(answers) {
  for (const found of answers) {
    if (!waiting.delete(found.id)) continue;
    toast(found.done ? `Done: ${found.reason}.` : `Not done: ${found.reason}.`, 9);
  }
}

async function answer(response) {
  const body = await response.json().catch(() => ({ error: "no answer that can be read" }));
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** Follow the study; the browser comes back by itself, naming the last event it has seen. */
export function listen(onState, onLink) {
  const source = new EventSource("/events");
  source.addEventListener("state", (event) => onState(JSON.parse(event.data)));
  source.addEventListener("open", () => onLink("open"));
  source.addEventListener("error", () => {
    onLink(source.readyState === EventSource.CLOSED ? "closed" : "lost");
  });
  addEventListener("pagehide", () => source.close());
}
