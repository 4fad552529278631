/** Everything that the pages ask of the service. Where it wants an API key, the key of this browser tab is sent along. */

import { make } from "./dom.js";

const KEPT = "ganymede-api-key";
const SILENCE_MS = 45_000; // of a stream: three signs of life that did not come

/** That nothing comes from the service: it is down, or at the other end of a connection that is none any more. */
class Silence extends Error {
  constructor(cause) {
    super("The service does not answer.", { cause });
  }
}

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

/** Whether what was asked for may come as soon as the service is itself again. */
export function isAway(error) {
  return error instanceof Silence || (error instanceof Problem && error.status >= 500);
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

/** Send a request and return its response; raise Problem unless it went well, Silence where there is none. */
export async function send(path, { method = "GET", json, form, headers = {}, signal } = {}) {
  const key = apiKey();
  const response = await arriving(fetch(path, {
    method,
    signal,
    headers: {
      ...(json === undefined ? {} : { "Content-Type": "application/json" }),
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
      ...headers,
    },
    body: json === undefined ? form : JSON.stringify(json),
  }));
  if (response.status < 500) document.dispatchEvent(new CustomEvent("answered"));
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) document.dispatchEvent(new CustomEvent("key-wanted"));
  throw new Problem(response.status, problem);
}

/** Return what comes from the service; raise Silence where it breaks off. */
async function arriving(promise) {
  try {
    return await promise;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Silence(error);
  }
}

/** Send a request and return the JSON of its answer, null where it has none. */
export async function ask(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : jsonOf(response);
}

/** Return the JSON of an answer; raise Silence where it breaks off. */
export function jsonOf(response) {
  return arriving(response.json());
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

/** Yield the messages of a job's stream, {id, event, data}, after an id, until the service or the signal ends it. */
export async function* stream(path, after, signal) {
  const address = after === null ? path : `${path}?after=${after}`;
  const leaving = new AbortController();
  try {
    const options = { headers: { Accept: "application/x-ndjson" }, signal: AbortSignal.any([signal, leaving.signal]) };
    const response = await soon(send(address, options));
    if (response.status === 204) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let begun = "";
    for (;;) {
      const { done, value } = await soon(arriving(reader.read()));
      if (done) return;
      const lines = (begun + value).split("\n");
      begun = lines.pop();
      for (const line of lines) if (line.trim()) yield JSON.parse(line);
    }
  } finally {
    leaving.abort(); // a connection that fell silent would stay open
  }
}

/** Return what a promise brings; raise Silence where that takes longer than the service is ever silent. */
async function soon(promise) {
  let timer = null;
  const silence = new Promise((_, reject) => { timer = setTimeout(() => reject(new Silence()), SILENCE_MS); });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
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
  const address = URL.createObjectURL(file);
  image.onload = image.onerror = () => URL.revokeObjectURL(address); // else the file stays in memory with the page
  image.src = address;
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
