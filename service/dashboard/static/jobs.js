/** The page of all jobs: cards that follow what happens, a search, and the way to a comparison. */

import { seen } from "./attention.js";
import { fill, find, make, oneAtATime } from "./dom.js";
import { badge, bar, kind, nameOf, pageOf, progressText, thumbnail } from "./facts.js";
import { begin, complain, insist } from "./frame.js";
import { Listing } from "./listing.js";
import { jsonOf, pause, send } from "./service.js";
import { measured } from "./words.js";

const EVERY_MS = 2000;
const STATUSES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

const chosen = new Set(); // to be compared
const query = new URLSearchParams({ limit: "24" });
const list = make("ul", { class: "jobs" });
const cards = new Listing(list, (job) => job.id, card);
const newest = make("button", { type: "button", hidden: true, click: () => turnTo(null) }, "Newest");
const older = make("button", { type: "button", hidden: true, click: () => turnTo(next) }, "Older");
const refresh = oneAtATime(() => insist(load));
let next = null; // where older jobs begin
let shown = null; // the question that was answered last, and the tag of its answer

async function main() {
  fill(find("content"), make("div", { class: "title" }, make("h1", {}, "Jobs"), make("a", { class: "button chief", href: "/dashboard/new" }, "New job")),
    filters(), list, make("p", { class: "more buttons" }, newest, older));
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
  put("cursor", null);
  refresh().catch(complain);
}

/** Show the page of jobs that begins at a cursor, or the first one. */
function turnTo(cursor) {
  put("cursor", cursor);
  scrollTo(0, 0);
  refresh().catch(complain);
}

function put(name, value) {
  if (value) query.set(name, value);
  else query.delete(name);
}

async function load() {
  const address = `/jobs?${query}`;
  const response = await send(address);
  const answer = `${address} ${response.headers.get("ETag")}`;
  if (answer === shown || address !== `/jobs?${query}`) return; // nothing new, or another question was asked meanwhile
  const page = await jsonOf(response);
  shown = answer;
  next = page.next_cursor;
  newest.hidden = !query.has("cursor");
  older.hidden = !page.has_more;
  cards.show(page.data);
  if (!page.data.length) fill(list, make("li", { class: "empty" }, ["q", "status", "cursor"].some((name) => query.has(name)) ? "No such job." : welcome()));
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
