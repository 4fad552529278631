/** The page for a new job: choose data, change what you like of its recipe, see what it needs, start it. */

import { fill, find, make } from "./dom.js";
import { nameOf, pageOf } from "./facts.js";
import { Fields } from "./form.js";
import { begin, complain, doing, forgive } from "./frame.js";
import { ask, askAll, pause } from "./service.js";
import { count, size } from "./words.js";

const AFTER_TYPING_MS = 400;
const FIRST = ["dataset", "name", "loop", "objective", "model", "optimizer", "seed"]; // what people change most
const NOBODYS = ["versions"]; // written by the service

let fields = null;
let estimate = null;
let parent = null; // the job that is forked, if any
let checkpoint = null;
let changes = 0; // of what was filled in; an answer to what it was before is dropped, for it may come after a newer one

async function main() {
  const query = new URLSearchParams(location.search);
  const known = query.get("fork") ?? query.get("from");
  const [schema, catalog, data, job] = await Promise.all([
    ask("/schema/job"),
    ask("/catalog"),
    askAll("/datasets"),
    known ? ask(`/jobs/${encodeURIComponent(known)}`) : null,
  ]);
  fields = new Fields({ properties: inOrder(schema.properties) }, { ...schema, choices: choicesOf(catalog) });
  estimate = make("p", { class: "facts", "aria-live": "polite" });
  if (query.has("fork")) [parent, checkpoint] = [job, Number(query.get("checkpoint"))];
  show(data.filter((each) => each.status === "ready"));
  if (parent) fields.hint(parent.resolved_spec);
  else fields.fill(job ? job.spec : { dataset: query.get("dataset") ?? "digits" });
  await check();
}

function show(choices) {
  const form = make("form", { class: "new", submit: (event) => event.preventDefault(), input: () => checkSoon() },
    parent ? null : datasetField(choices), fields.nodes(), estimate,
    make("button", { class: "chief", type: "button", click: doing(start) }, "Start training"));
  const words = parent
    ? `What you leave empty stays as it is in ${nameOf(parent)}. Steps go on from ${count(checkpoint)}; max steps counts from its beginning.`
    : "Choose the data and start. What you leave empty follows a recipe that is measured to work for it.";
  fill(find("content"), make("h1", {}, parent ? `Fork of ${nameOf(parent)} at step ${count(checkpoint)}` : "New job"), make("p", { class: "empty" }, words), form);
}

/** Put what people change most first. */
function inOrder(properties) {
  const names = Object.keys(properties).filter((name) => !FIRST.includes(name) && !NOBODYS.includes(name));
  const seed = { ...properties.seed, isDrawn: true }; // another one each time, so none is shown before
  return Object.fromEntries([...FIRST, ...names].map((name) => [name, name === "seed" ? seed : properties[name]]));
}

/** Return, by pointer, the names that the catalogue has for a value. */
function choicesOf(catalog) {
  const names = (list) => list.map((each) => each.name);
  return {
    "/objective/loss": names(catalog.objectives),
    "/model/architecture": ["auto", ...names(catalog.architectures)],
    "/optimizer/generator/name": names(catalog.optimizers),
    "/optimizer/discriminator/name": names(catalog.optimizers),
    "/quality/metric": names(catalog.metrics),
  };
}

function datasetField(choices) {
  const pick = (each) => make("button", { type: "button", class: "recipe", "data-id": each.id, click: () => {
    leaf("/dataset").fill(each.id);
    check();
  } }, make("strong", {}, each.name), make("small", {}, each.content ? words(each) : ""));
  return make("fieldset", { class: "recipes" }, make("legend", {}, "Recipes to start from"), choices.map(pick));
}

function markChosen() {
  const chosen = leaf("/dataset").value();
  for (const button of document.querySelectorAll(".recipe")) button.setAttribute("aria-pressed", String(button.dataset.id === (chosen?.name ?? chosen)));
}

function words({ content }) {
  return `${content.modality}, ${count(content.count)}`;
}

function leaf(pointer) {
  return fields.leaves().find((each) => each.pointer === pointer);
}

async function checkSoon() {
  const mine = (changes += 1);
  await pause(AFTER_TYPING_MS);
  if (mine === changes) await check();
}

/** Ask the service what the job would be, and show that and what is wrong. */
async function check() {
  if (parent) return; // a fork is checked when it is made
  const mine = (changes += 1);
  markChosen();
  clearFaults();
  try {
    const plan = await ask("/jobs?dry_run=true", { method: "POST", json: filled() });
    if (mine !== changes) return;
    fields.hint(plan.resolved_spec);
    const { generator_parameters: ours, discriminator_parameters: theirs, memory_bytes: memory, checkpoint_bytes: saved } = plan.estimate;
    fill(estimate, `Generator ${count(ours)} and discriminator ${count(theirs)} parameters; about ${size(memory)} of memory, ${size(saved)} a checkpoint.`);
    forgive();
  } catch (error) {
    if (mine !== changes) return;
    if (blameAll(error)) forgive();
    else complain(error);
    fill(estimate, "What it needs is told once nothing is wrong.");
  }
}

/** Return what was filled in; raise what is wrong with it as the service would. */
function filled() {
  const errors = fields.faults();
  if (errors.length) throw Object.assign(new Error("Some fields hold no numbers."), { errors });
  return fields.value() ?? {};
}

function clearFaults() {
  for (const each of fields.leaves()) each.complain("");
}

/** Show all faults beside their fields; tell whether each has one. */
function blameAll({ errors = [] }) {
  const placed = errors.map(blame);
  return placed.length > 0 && placed.every(Boolean);
}

/** Show a fault beside its field; tell whether there is one. */
function blame(fault) {
  const pointer = fault.pointer.replace(/^\/overrides/, "");
  const at = fields.leaves().find((each) => pointer === each.pointer || pointer.startsWith(`${each.pointer}/`));
  if (!at) return false;
  at.complain(fault.message);
  at.unfold();
  return true;
}

async function start() {
  changes += 1; // an answer that is on its way would take away what is said of this
  clearFaults();
  try {
    const spec = filled();
    const job = parent
      ? await ask(`${parent.links.self}/fork`, { method: "POST", json: { checkpoint, overrides: spec } })
      : await ask("/jobs", { method: "POST", json: spec });
    location.href = pageOf(job);
  } catch (error) {
    const isAllTold = blameAll(error);
    fields.leaves().find((each) => each.isFaulty())?.focus();
    if (!isAllTold) throw error;
  }
}

begin(main);
