/** Parts that tell of a job on more than one page. */

import { fill, make } from "./dom.js";
import { complain } from "./frame.js";
import { askAll, showIn } from "./service.js";
import { count, lasting, measured } from "./words.js";

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** Whether a job has ended. */
export function hasEnded(job) {
  return ENDED.has(job.status);
}

/** The address of a job's page. */
export function pageOf(job) {
  return `/dashboard/job?id=${job.id}`;
}

/** What people call a job. */
export function nameOf(job) {
  return job.name || job.id;
}

/** The status as a badge. */
export function badge(job) {
  return make("span", { class: `status ${job.status}` }, job.status);
}

/** What is trained on what. Specs name uploads by their ids; their names follow. */
export function kind(job) {
  const { dataset, model, objective, loop } = job.resolved_spec;
  const data = make("span", { title: dataset.name }, dataset.name);
  if (dataset.name.startsWith("ds_")) dataNameOf(dataset.name).then((name) => fill(data, name)).catch(complain);
  return [data, ` · ${model.architecture} · ${objective.loss.replaceAll("_", " ")}, ${loop.variant}`];
}

const dataNames = new Map(); // by id
let asking = null;

async function dataNameOf(id) {
  if (!dataNames.has(id)) {
    asking ??= askAll("/datasets").finally(() => (asking = null));
    for (const each of await asking) dataNames.set(each.id, each.name);
    if (!dataNames.has(id)) dataNames.set(id, id); // deleted
  }
  return dataNames.get(id);
}

/** How far a job is, as a bar. */
export function bar(job) {
  const { step, max_steps: most } = job.progress;
  return make("progress", { value: step, max: most, "aria-label": `step ${count(step)} of ${count(most)}` });
}

/** How far a job is, in words. */
export function progressText(job) {
  const { step, max_steps: most, steps_per_second: speed, eta_seconds: left } = job.progress;
  const parts = [`step ${count(step)} of ${count(most)}`];
  if (job.queue_position) parts.push(`number ${job.queue_position} in the queue`);
  if (speed && !hasEnded(job)) parts.push(`${measured(Number(speed.toPrecision(3)))} steps/s`);
  if (left !== null) parts.push(`${lasting(left)} left`);
  return parts.join(" · ");
}

/** The address of a job's newest picture, null where it has none. */
function pictureOf(job) {
  const latest = job.latest_samples;
  return latest && latest.formats.includes("png") ? `${job.links.samples}/${latest.step}?format=png` : null;
}

const pictures = new Map(); // by job, the image that shows its samples, wherever it stands

/** The newest picture, or an empty place for it. */
export function thumbnail(job) {
  const path = pictureOf(job);
  if (!path) return make("span", { class: "picture none" }, hasEnded(job) ? "no picture" : "no picture yet");
  const image = pictures.get(job.id) ?? make("img");
  pictures.set(job.id, image);
  image.alt = `Samples of ${nameOf(job)} at step ${count(job.latest_samples.step)}`;
  showIn(image, path).catch(complain);
  return make("a", { class: "picture", href: pageOf(job) }, image);
}
