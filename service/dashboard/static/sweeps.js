/** The page of sweeps: many jobs at once, which are started here and ranked while they train. */

import { announce, fill, find, make } from "./dom.js";
import { numberIn } from "./form.js";
import { begin, doing } from "./frame.js";
import { badge, follow, progress } from "./leaderboard.js";
import { ask, askAll } from "./service.js";
import { ago, count, words } from "./words.js";

const EXPERIMENT = { dataset: "ring", seed: "1", rows: [["objective.loss", "saturating, non_saturating"], ["loop.variant", "original, fused"]] };

async function main() {
  const id = new URLSearchParams(location.search).get("id");
  await (id ? follow(`/sweeps/${encodeURIComponent(id)}`) : showAll());
}

async function showAll() {
  const sweeps = await askAll("/sweeps");
  fill(find("content"), make("h1", {}, "Sweeps"), form(),
    make("section", { "aria-label": "Sweeps so far" }, make("h2", {}, "So far"),
      sweeps.length ? make("ul", { class: "jobs" }, sweeps.map(card)) : make("p", { class: "empty" }, "No sweep yet.")));
}

function card(sweep) {
  return make("li", { class: "job plain" }, make("div", {},
    make("h2", {}, make("a", { href: pageOf(sweep) }, sweep.name ?? sweep.id)),
    make("p", {}, badge(sweep), `${sweep.method} of ${count(sweep.members.total)} jobs, ranked by ${words(sweep.metric)}`),
    make("p", { class: "facts" }, `${progress(sweep.members)} · created ${ago(sweep.created_at)}`)));
}

function pageOf(sweep) {
  return `/dashboard/sweeps?id=${sweep.id}`;
}

/** A form for a grid: which values are tried, of which keys of the spec. */
function form() {
  const name = make("input", { type: "text" });
  const dataset = make("input", { type: "text", value: "digits", required: true });
  const seed = make("input", { type: "number", min: "0", placeholder: "one for all" });
  const steps = make("input", { type: "number", min: "1", placeholder: "as the recipe has it" });
  const rows = make("div", { class: "fields" });
  const add = (path = "", values = "") => rows.append(row(path, values));
  add("optimizer.generator.lr", "0.0001, 0.0002, 0.0004");
  const experiment = () => {
    dataset.value = EXPERIMENT.dataset;
    seed.value = EXPERIMENT.seed;
    fill(rows, EXPERIMENT.rows.map(([path, values]) => row(path, values)));
    announce("The form holds the paired experiment.");
  };
  const start = doing(async () => {
    const spec = { dataset: dataset.value.trim() };
    const [chosenSeed, most] = [numberIn(seed, "Seed"), numberIn(steps, "Steps")];
    if (chosenSeed !== undefined) spec.seed = chosenSeed;
    if (most !== undefined) spec.loop = { max_steps: most };
    const sweep = { spec, grid: gridOf(rows) };
    if (name.value.trim()) sweep.name = name.value.trim();
    location.href = pageOf(await ask("/sweeps", { method: "POST", json: sweep }));
  });
  return make("section", { "aria-label": "New sweep" }, make("h2", {}, "New sweep"),
    make("p", { class: "empty" }, "Every combination of the values becomes a job. Jobs of one shape train together."),
    make("p", {}, make("button", { type: "button", click: experiment }, "The paired experiment: saturating or not, original or fused, from one seed")),
    make("div", { class: "fields" }, field("Data set", dataset), field("Name", name), field("Seed", seed), field("Steps", steps)),
    make("h3", {}, "Values to try"), rows,
    make("p", { class: "buttons" }, make("button", { type: "button", click: () => add() }, "Another value"), make("button", { type: "button", class: "chief", click: start }, "Start the sweep")));
}

function field(label, input) {
  return make("label", { class: "field" }, make("span", {}, label), input);
}

function row(path, values) {
  return make("div", { class: "field" },
    make("input", { type: "text", class: "path", value: path, placeholder: "objective.r1", "aria-label": "Key of the spec" }),
    make("input", { type: "text", class: "values", value: values, placeholder: "0, 0.1, 1", "aria-label": "Values, with commas between" }));
}

/** Return the grid that was filled in: by path a list of values, numbers and truths read as such. */
function gridOf(rows) {
  const filled = [...rows.children].map((each) => [each.querySelector(".path").value.trim(), each.querySelector(".values").value]);
  return Object.fromEntries(filled.filter(([path]) => path).map(([path, values]) => [path, values.split(",").map((text) => valueOf(text.trim()))]));
}

function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

begin(main);
