/** Parts that tell of a job on more than one page. */

import { make } from "./dom.js";
import { complain } from "./frame.js";
import { ask, showIn } from "./service.js";
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

/** What the data of a job is called; specs name uploads by their ids. */
export async function dataNameOf(job) {
  const { name } = job.resolved_spec.dataset;
  if (!name.startsWith("ds_")) return name;
  const known = await ask(`/datasets/${name}`).catch(() => ({ name })); // deleted, perhaps
  return known.name;
}

/** What is trained on what. */
export function kindOf(job, dataName = job.resolved_spec.dataset.name) {
  const spec = job.resolved_spec;
  return [dataName, spec.model.architecture, words(spec)].join(" · ");
}

function words({ objective, loop }) {
  return `${objective.loss.replaceAll("_", " ")}, ${loop.variant}`;
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
