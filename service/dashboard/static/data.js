/** The page of data sets: bring your own, look at them, train on them. */

import { seen } from "./attention.js";
import { announce, fill, find, make, oneAtATime } from "./dom.js";
import { begin, complain, doing, insist } from "./frame.js";
import { Listing } from "./listing.js";
import { ask, askAll, pause, showIn } from "./service.js";
import { count, size } from "./words.js";

const EVERY_MS = 2000;

const list = make("ul", { class: "jobs datasets" });
const cards = new Listing(list, (dataset) => dataset.id, card);
const refresh = oneAtATime(() => insist(load));
let awaited = new Set(); // ids of the data sets that were not settled when last looked at

async function main() {
  fill(find("content"), make("h1", {}, "Data"), upload(), list);
  for (;;) {
    await seen();
    await refresh().catch(complain);
    await pause(EVERY_MS);
  }
}

function upload() {
  const file = make("input", { type: "file", required: true, "aria-label": "File" });
  const name = make("input", { type: "text", placeholder: "as the file", "aria-label": "Name" });
  const label = make("input", { type: "text", placeholder: "none", "aria-label": "Column of labels" });
  const send = doing(async () => {
    if (!file.files.length) throw new Error("Choose a file first.");
    const form = new FormData();
    form.append("name", name.value.trim() || file.files[0].name);
    if (label.value.trim()) form.append("label", label.value.trim());
    form.append("file", file.files[0]);
    announce("Uploading...");
    const { name: known, status } = await ask("/datasets", { method: "POST", form });
    announce(`${known} is ${status}.`);
    await refresh();
  });
  return make("section", { "aria-label": "Bring your own" }, make("h2", {}, "Bring your own"),
    make("p", { class: "empty" }, "A zip of PNG or JPEG pictures (folders become classes), CSV or Parquet, NPY or NPZ, a WAV or a zip of them."),
    make("div", { class: "filters" }, file, make("label", {}, "Name ", name), make("label", {}, "Column of labels ", label), make("button", { type: "button", class: "chief", click: send }, "Upload")));
}

/**
 * Show all data sets as they are now. They are looked at together, as often as jobs are: a request that waits for each of
 * many would take all the connections that the browser has for the service.
 */
async function load() {
  const all = await askAll("/datasets?limit=200");
  cards.show(all);
  for (const each of all) if (awaited.has(each.id) && !isAwaited(each)) announce(`${each.name} is ${each.status}.`);
  awaited = new Set(all.filter(isAwaited).map((each) => each.id));
}

function isAwaited({ status }) {
  return status === "uploading" || status === "preparing";
}

function card(dataset) {
  const { content } = dataset;
  const facts = content ? [content.modality, `${count(content.count)} samples`, `shape ${content.shape.join(" x ")}`] : [];
  if (dataset.size_bytes !== null) facts.push(size(dataset.size_bytes));
  const picture = preview(dataset);
  return make("li", { class: picture ? "job" : "job plain" }, picture, make("div", {},
    make("h2", {}, dataset.name),
    make("p", {}, make("span", { class: `status ${dataset.status === "ready" ? "succeeded" : dataset.status}` }, dataset.builtin ? "built in" : dataset.status), facts.join(" · ")),
    dataset.error ? make("p", { class: "error" }, dataset.error.message) : null,
    dataset.warnings.map((warning) => make("p", { class: "facts" }, warning.message)),
    make("p", { class: "links" },
      dataset.status === "ready" ? make("a", { class: "button", href: `/dashboard/new?dataset=${encodeURIComponent(dataset.id)}` }, "Train on it") : null,
      dataset.builtin ? null : make("button", { type: "button", class: "quiet", click: doing(() => remove(dataset)) }, "Delete"))));
}

function preview(dataset) {
  const isSheet = ["image", "audio"].includes(dataset.content?.modality);
  if (!dataset.links.preview || !isSheet) return null;
  const image = make("img", { alt: `Some of ${dataset.name}` });
  showIn(image, dataset.links.preview).catch(complain);
  return make("span", { class: "picture" }, image);
}

async function remove(dataset) {
  if (!confirm(`Delete ${dataset.name}?`)) return;
  await ask(dataset.links.self, { method: "DELETE" });
  await refresh();
}

begin(main);
