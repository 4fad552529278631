/** The page that lays jobs side by side: one chart a column with a curve a job, and what differs between their specs. */

import { Chart, View } from "./chart.js";
import { controls, recordedColumns } from "./curves.js";
import { fill, find, make } from "./dom.js";
import { badge, nameOf, pageOf, thumbnail } from "./facts.js";
import { measurements } from "./findings.js";
import { begin, complain, doing } from "./frame.js";
import { ask } from "./service.js";
import { count, lasting, measured, valueText, words } from "./words.js";

const COLUMNS = [
  { name: "value", title: "value V(G,D)" },
  { name: "d_loss", title: "d_loss" },
  { name: "g_loss_non_saturating", title: "g_loss non-saturating" },
  { name: "g_loss", title: "g_loss, what the generator minimises" },
  { name: "g_grad_norm", title: "Generator's gradient norm", isLog: true },
];
const POINTS = 2000;
const MOST = 8; // jobs that can be told apart by colour

async function main() {
  const ids = (new URLSearchParams(location.search).get("jobs") ?? "").split(",").filter(Boolean);
  if (ids.length < 2) {
    await choose(ids);
    return;
  }
  const jobs = await Promise.all(ids.slice(0, MOST).map((id) => ask(`/jobs/${encodeURIComponent(id)}`)));
  const labels = labelsOf(jobs);
  const recorded = await Promise.all(jobs.map(recordedColumns));
  const shared = COLUMNS.filter(({ name }) => recorded.every((names) => names.includes(name)));
  const view = new View();
  const charts = shared.map(({ title, isLog }) => new Chart(view, title, jobs.map((job, index) => ({ name: job.id, label: labels[index] })), { isLog }));
  fill(find("content"), make("h1", {}, `${jobs.length} jobs side by side`), summary(jobs, labels),
    make("h2", {}, "Curves"), controls(view, charts), charts.map((chart) => chart.root), await qualities(jobs, labels));
  const answer = await ask(`/losses/compare?jobs=${jobs.map((job) => job.id).join(",")}&columns=${shared.map((each) => each.name).join(",")}&max_points=${POINTS}`);
  shared.forEach(({ name }, index) => {
    for (const { job, columns, references } of answer.data) {
      charts[index].set(job, columns.step, columns[name]);
      if (references[name] !== undefined) charts[index].references[job] = references[name];
    }
  });
}

async function choose(ids) {
  const list = make("ul", { class: "choices" });
  const older = make("button", { type: "button", click: doing(() => offerMore()) }, "Older jobs");
  let cursor = null;
  const offerMore = async () => {
    const page = await ask(`/jobs?limit=100${cursor ? `&cursor=${cursor}` : ""}`);
    list.append(...page.data.map((job) => choice(job, ids.includes(job.id))));
    cursor = page.next_cursor;
    older.hidden = !page.has_more;
  };
  const go = () => {
    const chosen = [...list.querySelectorAll(":checked")].map((box) => box.value);
    if (chosen.length < 2) complain(new Error("Choose two jobs at least."));
    else location.search = `?jobs=${chosen.join(",")}`;
  };
  await offerMore();
  fill(find("content"), make("h1", {}, "Compare jobs"),
    list.children.length < 2 ? make("p", { class: "empty" }, "There are not yet two jobs to compare.") : make("form", { submit: (event) => event.preventDefault() },
      list, make("p", { class: "buttons" }, older, make("button", { type: "button", class: "chief", click: go }, "Compare"))));
}

function choice(job, isChosen) {
  return make("li", {}, make("label", {}, make("input", { type: "checkbox", value: job.id, checked: isChosen }), ` ${nameOf(job)} `, badge(job)));
}

/** Name jobs by what tells them apart. */
function labelsOf(jobs) {
  const keys = differences(jobs);
  return jobs.map((job) => job.name ?? (keys.length ? keys.slice(0, 3).map((key) => told(key, valueText(at(job.resolved_spec, key)))).join(", ") : job.id));
}

function told(key, value) {
  return key === "/dataset/name" ? value : `${words(key.split("/").at(-1))} ${value}`;
}

const FOLLOWS = /^\/(name|labels|versions)|^\/dataset\/sha256$|\/horizon_steps$/; // from other values, or means nothing

/** Return the keys of the specs whose values are not the same in all jobs. */
function differences(jobs) {
  const all = new Set(jobs.flatMap((job) => leaves(job.resolved_spec)));
  return [...all].filter((key) => !FOLLOWS.test(key) && new Set(jobs.map((job) => valueText(at(job.resolved_spec, key)))).size > 1);
}

function leaves(value, path = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, part]) => leaves(part, `${path}/${key}`));
}

function at(value, path) {
  return path.split("/").slice(1).reduce((part, key) => part?.[key], value);
}

/** A path of the spec, which may go on in another line after its dots. */
function breakable(path) {
  return path.split(/(?<=\.)/).flatMap((part) => [part, make("wbr")]);
}

function summary(jobs, labels) {
  const row = (title, tell) => make("tr", {}, make("th", { scope: "row" }, title), jobs.map((job) => make("td", {}, tell(job))));
  const seconds = (job) => (job.started_at ? lasting((Date.parse(job.finished_at ?? new Date().toISOString()) - Date.parse(job.started_at)) / 1000) : "-");
  return make("div", { class: "scrolls" }, make("table", {},
    make("thead", {}, make("tr", {}, make("td"), jobs.map((job, index) => make("th", { scope: "col", class: `color-${index}` }, make("span", { class: "mark" }), " ", make("a", { href: pageOf(job) }, labels[index]))))),
    make("tbody", {},
      row("samples", thumbnail), row("status", badge), row("steps", (job) => count(job.progress.step)), row("took", seconds),
      row("steps a second", (job) => (job.progress.steps_per_second ? measured(Number(job.progress.steps_per_second.toPrecision(3))) : "-")),
      differences(jobs).map((key) => row(breakable(key.slice(1).replaceAll("/", ".")), (job) => valueText(at(job.resolved_spec, key)))))));
}

async function qualities(jobs, labels) {
  const rows = await Promise.all(jobs.map(async (job) => (await measurements(job)).at(-1) ?? { metrics: {} }));
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))];
  if (!names.length) return null;
  return make("section", { "aria-label": "Quality" }, make("h2", {}, "Quality, newest"), make("div", { class: "scrolls" }, make("table", {},
    make("thead", {}, make("tr", {}, make("td"), labels.map((label) => make("th", { scope: "col" }, label)))),
    make("tbody", {}, names.map((name) => make("tr", {}, make("th", { scope: "row" }, words(name)), rows.map((row) => make("td", {}, name in row.metrics ? measured(row.metrics[name]) : "-"))))))));
}

begin(main);
