/** The page of a job: everything about it, as it happens. */

import { whileSeen } from "./attention.js";
import { Curves, recordedColumns } from "./curves.js";
import { announce, fill, find, make, oneAtATime } from "./dom.js";
import { badge, bar, hasEnded, kind, nameOf, progressText } from "./facts.js";
import { Diagnosis, Quality } from "./findings.js";
import { begin, complain, doing, insist } from "./frame.js";
import { Drawing, Gallery } from "./gallery.js";
import { Listing } from "./listing.js";
import { ask, askAll, download, downloadOnceMade, pause, stream } from "./service.js";
import { ago, count, measured, size, words } from "./words.js";

const AGAIN_MS = 2000;
const NEWEST_EVENTS = 30;

let job = null;

async function main() {
  const id = new URLSearchParams(location.search).get("id");
  if (!id) throw new Error("This page needs a job: /dashboard/job?id=job_...");
  job = await ask(`/jobs/${encodeURIComponent(id)}`);
  document.title = `${nameOf(job)} - Ganymede`;
  const parts = build(await recordedColumns(job));
  await loadAll(parts);
  await follow(parts);
}

function loadAll({ loads }) {
  return Promise.all(Object.values(loads).map((load) => load()));
}

/** Put the page together; return its parts, and what loads each of them anew. */
function build(recorded) {
  const head = new Head();
  const curves = new Curves(job, recorded);
  const [gallery, drawing, quality, diagnosis, events] = [Gallery, Drawing, Quality, Diagnosis, Events].map((Part) => new Part(job));
  const checkpoints = new Checkpoints(drawing);
  fill(find("content"), head.root, make("div", { class: "halves" },
    make("div", {}, curves.root),
    make("div", {}, gallery.root, drawing.root, diagnosis.root, quality.root, checkpoints.root, events.root, spec())));
  head.show();
  const loaded = { gallery, quality, diagnosis, checkpoints, events, curves };
  return { head, curves, loads: Object.fromEntries(Object.entries(loaded).map(([name, part]) => [name, oneAtATime(() => insist(() => part.load()))])) };
}

/** Follow the stream until the job has ended, over any number of connections; none while nobody sees the page. */
async function follow(parts) {
  let after = null;
  const watch = async (signal) => {
    for await (const message of stream(job.links.stream, after, signal)) {
      after = message.id ?? message.data.seq;
      take(message, parts);
    }
  };
  while (!hasEnded(job)) {
    await insist(() => whileSeen(watch));
    await insist(() => learn(parts)); // what ends a stream may be the end of the job
    if (!hasEnded(job)) await pause(AGAIN_MS);
  }
}

const CHANGED = { sample: "gallery", checkpoint: "checkpoints", quality: "quality", diagnosis: "diagnosis" };

function take({ event, data }, parts) {
  if (event === "snapshot") {
    job = data;
    loadAll(parts).catch(complain); // the stream tells what follows; what was loaded may be older
  } else if (event === "losses") {
    parts.curves.take(data);
    job.losses = Object.fromEntries(Object.entries(data.columns).map(([name, values]) => [name, values.at(-1)]));
  } else if (event === "progress") job.progress = { ...job.progress, ...data };
  else if (event === "rollback") parts.curves.forgetAfter(data.to_step);
  else if (event === "status") insist(() => learn(parts)).catch(complain);
  if (event in CHANGED) parts.loads[CHANGED[event]]().catch(complain);
  if (!["losses", "progress", "snapshot"].includes(event)) parts.loads.events().catch(complain);
  parts.head.show();
}

/** Ask for the job, as after a change of its status; an answer that was overtaken is no news. */
async function learn(parts) {
  const answer = await ask(job.links.self);
  if (answer.version < job.version) return;
  if (answer.status !== job.status) announce(`The job is ${answer.status}.`);
  job = answer;
  parts.head.show();
  if (hasEnded(job)) await loadAll(parts);
}

/** Name, status, progress, and what can be asked of the job now. */
class Head {
  constructor() {
    this.buttons = make("div", { class: "buttons" });
    this.status = make("span");
    this.reason = make("span");
    this.progress = make("div");
    this.facts = make("p", { class: "facts" });
    this.error = make("p", { class: "error" });
    this.shown = null;
    this.root = make("div", { class: "head" }, make("div", { class: "title" }, make("h1", {}, nameOf(job)), this.buttons),
      make("p", {}, this.status, kind(job), origin(), this.reason), this.progress, this.facts, this.error);
  }

  show() {
    const losses = job.losses ?? {};
    fill(this.status, badge(job));
    fill(this.reason, job.reason ? ` · ${words(job.reason)}` : "", ` · created ${ago(job.created_at)}`);
    fill(this.progress, bar(job));
    fill(this.facts, progressText(job), "d_loss" in losses ? ` · d_loss ${measured(losses.d_loss)} · g_loss ${measured(losses.g_loss)} · value ${measured(losses.value)}` : "");
    fill(this.error, job.error ? `${job.error.code.replaceAll("_", " ")}: ${job.error.message}` : "");
    if (this.shown === job.status) return; // the button that has the focus stays
    this.shown = job.status;
    fill(this.buttons, actions());
  }
}

/** What a fork continues. */
function origin() {
  const { parent } = job;
  return parent && [" · continues ", make("a", { href: `/dashboard/job?id=${parent.job}` }, "another job"), ` from step ${count(parent.step)}`];
}

function actions() {
  const wish = (name, label) => make("button", { type: "button", click: doing(async () => {
    job = await ask(job.links[name], { method: "POST" });
    announce(`The job is ${job.status}.`);
  }) }, label);
  const again = make("a", { class: "button", href: `/dashboard/new?from=${job.id}` }, "Another like this");
  const remove = make("button", { type: "button", click: doing(async () => {
    if (!confirm(`Delete ${nameOf(job)} with its history, samples and checkpoints?`)) return;
    await ask(job.links.self, { method: "DELETE" });
    location.href = "/";
  }) }, "Delete");
  const archive = make("button", { type: "button", click: doing(() => download(`${job.links.self}/archive.zip`, `${job.id}.zip`)) }, "Download all");
  if (hasEnded(job)) return [archive, again, remove];
  const isHeld = job.status === "paused" || job.status === "pausing";
  const save = job.status === "running" ? wish("checkpoints", "Save now") : null;
  return [isHeld ? wish("resume", "Resume") : wish("pause", "Pause"), wish("cancel", "Cancel"), save, archive, again];
}

/** What was saved, to download. */
class Checkpoints {
  constructor(drawing) {
    this.drawing = drawing;
    const body = make("tbody");
    this.rows = new Listing(body, (row) => row.step, (row) => this._row(row));
    this.files = new Map(); // by step the cell of its buttons, one of which may be at work when the rest of its row changes
    this.none = make("p", { class: "empty" }, "No checkpoint yet.");
    this.table = make("div", { class: "scrolls" }, make("table", {},
      make("thead", {}, make("tr", {}, ["step", "kept because", "size", "files"].map((name) => make("th", { scope: "col" }, name)))), body));
    this.root = make("section", { "aria-label": "Checkpoints" }, make("h2", {}, "Checkpoints"), this.none, this.table);
  }

  async load() {
    const rows = await askAll(job.links.checkpoints);
    this.drawing.offer(rows);
    this.none.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    this.files = new Map(rows.map((row) => [row.step, this.files.get(row.step) ?? files(row)]));
    this.rows.show(rows.reverse());
  }

  _row(row) {
    return make("tr", {}, make("th", { scope: "row" }, count(row.step)), make("td", {}, row.kept_because.join(", ")), make("td", {}, size(row.size_bytes)), this.files.get(row.step));
  }
}

function files({ step, parts }) {
  return make("td", { class: "links" }, Object.entries(parts).map(fileButton(step)), Object.entries(EXPORTS).map(exportButton(step)),
    make("a", { href: `/dashboard/new?fork=${job.id}&checkpoint=${step}` }, "fork"));
}

function fileButton(step) {
  return ([part, file]) => make("button", { type: "button", class: "quiet", click: doing(() => download(file.url, `${part}-${step}.safetensors`)) }, part);
}

const EXPORTS = { onnx: "onnx", torch_export: "pt2" }; // formats, with the endings of their files

/** Saves the generator in a format of other programs, as soon as a worker has written it. */
function exportButton(step) {
  return ([format, ending]) => make("button", { type: "button", class: "quiet", click: doing(() =>
    downloadOnceMade(`${job.links.checkpoints}/${step}/exports/${format}?wait=30`, `generator-${step}.${ending}`, () => announce("A worker writes the file..."))) }, words(format));
}

/** What happened, newest first. */
class Events {
  constructor() {
    this.newest = [];
    const list = make("ol", { class: "events" });
    this.rows = new Listing(list, (event) => event.seq, (event) => make("li", {},
      make("time", { datetime: event.at }, new Date(event.at).toLocaleString()), ` ${event.message}`));
    this.root = make("section", { "aria-label": "Events" }, make("h2", {}, "Events"), list);
  }

  async load() {
    let page;
    do {
      page = await ask(`${job.links.events}?limit=200&after=${this.newest[0]?.seq ?? 0}`);
      this.newest = [...page.data.reverse(), ...this.newest].slice(0, NEWEST_EVENTS);
    } while (page.has_more);
    this.rows.show(this.newest);
  }
}

function spec() {
  return make("details", {}, make("summary", {}, "Every value in use"), make("pre", {}, JSON.stringify(job.resolved_spec, null, 2)));
}

begin(main);
