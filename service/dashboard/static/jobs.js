/** The page of all jobs: cards that follow what happens, a search, and the way to a comparison. */

import { seen } from "./attention.js";
import { fill, find, make, oneAtATime } from "./dom.js";
import { badge, bar, kind, nameOf, pageOf, progressText, thumbnail } from "./facts.js";
import { begin, complain, insist } from "./frame.js";
import { jsonOf, pause, send } from "./service.js";
import { measured } from "./words.js";

const EVERY_MS = 2000;
const STATUSES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

const cards = new Map(); // by job: {version, node}
const chosen = new Set(); // to be compared
const query = new URLSearchParams({ limit: "24" });
const list = make("ul", { class: "jobs" });
const rest = make("p", { class: "more" });
const refresh = oneAtATime(() => insist(load));
let tag = null;
let pageEnds = null;

async function main() {
  fill(find("content"), make("div", { class: "title" }, make("h1", {}, "Jobs"), make("a", { class: "button chief", href: "/dashboard/new" }, "New job")), filters(), list, rest);
  for (;;) {
    await seen();
    await refresh().catch(complain);
    await pause(EVERY_MS);
  }
}

function filters() {
  const search = make("input", { type: "search", placeholder: "Name or id", "aria-label": "Name or id", input: () => look("q", search.value) });
  const status = make("select", { "aria-label": "Status", change: () => look("status", status.value) },
    make("option", { value: "" }, "any status"), STATUSES.map((each) => make("option", { value: each }, each)));
  const compare = make("a", { id: "compare", class: "button", href: "/dashboard/compare", hidden: true }, "Compare");
  return make("div", { class: "filters" }, search, status, compare);
}

/** Look for other jobs, of which the newest are shown first. */
function look(name, value) {
  put(name, value);
  turnTo(null);
}

/** Show the page of jobs that begins at a cursor, or the first one. */
function turnTo(cursor) {
  put("cursor", cursor);
  tag = null;
  refresh().catch(complain);
}

function put(name, value) {
  if (value) query.set(name, value);
  else query.delete(name);
}

async function load() {
  const address = `/jobs?${query}`;
  const response = await fetchChanged(address);
  if (!response || address !== `/jobs?${query}`) return; // another question was asked meanwhile
  const page = await jsonOf(response);
  pageEnds = page.has_more ? page.next_cursor : null;
  show(list, page.data);
  fill(rest, query.get("cursor") ? make("button", { type: "button", click: () => turnTo(null) }, "Newest") : null,
    pageEnds ? make("button", { type: "button", click: () => turnTo(pageEnds) }, "Older") : null);
}

/** Return what the service answers, null where it is what was shown last. */
async function fetchChanged(address) {
  const response = await send(address);
  const given = response.headers.get("ETag");
  if (given && given === tag) return null;
  tag = given;
  return response;
}

function show(list, jobs) {
  if (!jobs.length) {
    cards.clear();
    fill(list, make("li", { class: "empty" }, query.has("q") || query.has("status") ? "No such job." : welcome()));
    return;
  }
  const nodes = jobs.map(cardOf);
  // Nodes that stay are not touched: who has the focus in one keeps it.
  nodes.forEach((node, index) => list.children[index] === node || list.insertBefore(node, list.children[index] ?? null));
  while (list.children.length > nodes.length) list.lastChild.remove();
}

function cardOf(job) {
  const known = cards.get(job.id);
  if (known && known.version === `${job.version} ${job.queue_position}`) return known.node;
  const node = card(job);
  if (known) {
    const had = known.node.contains(document.activeElement) ? document.activeElement.className : null;
    known.node.replaceWith(node);
    if (had !== null) node.querySelector(`[class="${had}"]`)?.focus();
  }
  cards.set(job.id, { version: `${job.version} ${job.queue_position}`, node });
  return node;
}

function card(job) {
  const losses = job.losses || {};
  const box = make("input", { type: "checkbox", class: "choose", checked: chosen.has(job.id), "aria-label": `Compare ${nameOf(job)}`, change: () => choose(job.id, box.checked) });
  return make("li", { class: "job" }, thumbnail(job), make("div", {},
    make("h2", {}, make("a", { class: "to-job", href: pageOf(job) }, nameOf(job)), box),
    make("p", {}, badge(job), kind(job)),
    bar(job),
    make("p", { class: "facts" }, progressText(job), "d_loss" in losses ? ` · d_loss ${measured(losses.d_loss)} · g_loss ${measured(losses.g_loss)}` : ""),
    job.error ? make("p", { class: "error" }, job.error.message) : null));
}

function choose(id, isChosen) {
  if (isChosen) chosen.add(id);
  else chosen.delete(id);
  const link = find("compare");
  link.hidden = chosen.size < 2;
  link.href = `/dashboard/compare?jobs=${[...chosen].join(",")}`;
  link.textContent = `Compare ${chosen.size} jobs`;
}

function welcome() {
  return make("div", {}, make("p", {}, "No job yet. ", make("a", { href: "/dashboard/new" }, "Start one here"), ", or post one:"),
    make("pre", {}, make("code", {}, `curl -s ${location.origin}/jobs -H 'Content-Type: application/json' -d '{"dataset": "digits"}'`)));
}

begin(main);
