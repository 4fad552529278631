/** Everything that the pages ask of the service. Where it wants an API key, the key of this browser tab is sent along. */

import { make } from "./dom.js";

const KEPT = "ganymede-api-key";

/** What the service refused, with the faults it found: `errors` are {pointer, code, message, allowed, got}. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.title = problem.title;
    this.status = status;
    this.code = problem.code;
    this.errors = problem.errors || [];
  }
}

/** Return the API key of this tab, null where none was given. */
export function apiKey() {
  return sessionStorage.getItem(KEPT);
}

/** Keep an API key until the tab is closed; null forgets it. */
export function keepApiKey(key) {
  if (key) sessionStorage.setItem(KEPT, key);
  else sessionStorage.removeItem(KEPT);
}

/** Send a request and return its response; raise Problem unless it went well. */
export async function send(path, { method = "GET", json, form, headers = {}, signal } = {}) {
  const key = apiKey();
  const response = await fetch(path, {
    method,
    signal,
    headers: {
      ...(json === undefined ? {} : { "Content-Type": "application/json" }),
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
      ...headers,
    },
    body: json === undefined ? form : JSON.stringify(json),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) document.dispatchEvent(new CustomEvent("key-wanted"));
  throw new Problem(response.status, problem);
}

/** Send a request and return the JSON of its answer, null where it has none. */
export async function ask(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

/** Return all objects of a list, page after page, at most so many. */
export async function askAll(path, most = 1000) {
  const found = [];
  const address = new URL(path, location.href);
  while (found.length < most) {
    const page = await ask(address);
    found.push(...page.data);
    if (!page.has_more) break;
    address.searchParams.set("cursor", page.next_cursor);
  }
  return found;
}

/** Yield the messages of a job's stream, {id, event, data}, after an id; ends when the service ends it. */
export async function* stream(path, after, signal) {
  const address = after === null ? path : `${path}?after=${after}`;
  const response = await send(address, { headers: { Accept: "application/x-ndjson" }, signal });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let begun = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (begun + value).split("\n");
    begun = lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
  }
}

const wanted = new WeakMap(); // by image, the path that it was last asked to show

/** Let an image show a file of the service; images themselves send no key. */
export async function showIn(image, path) {
  if (wanted.get(image) === path) return;
  wanted.set(image, path);
  if (!apiKey()) {
    image.src = path;
    return;
  }
  const file = await (await send(path)).blob();
  if (wanted.get(image) !== path) return; // another was asked for meanwhile
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
}

/** Save a file of the service under a name; a link itself sends no key. */
export async function download(path, name) {
  if (apiKey()) keep(await (await send(path)).blob(), name);
  else follow(path, name);
}

/**
 * Save the file of the service that is at a path as soon as it is made; meanwhile tell, again and again. Where too many
 * wait, the service answers at once and says when to come back.
 */
export async function downloadOnceMade(path, name, tell) {
  let response = await send(path);
  while (response.status === 202) {
    tell();
    await pause(1000 * Number(response.headers.get("Retry-After") ?? 1));
    response = await send(path);
  }
  keep(await response.blob(), name);
}

function keep(file, name) {
  const address = URL.createObjectURL(file);
  follow(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function follow(address, name) {
  make("a", { href: address, download: name }).click();
}

/** Wait. */
export function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
