/** The samples of a job through its training: a slider over the sampling points, and new ones on demand. */

import { fill, make } from "./dom.js";
import { complain, doing } from "./frame.js";
import { ask, askAll, download, send, showIn } from "./service.js";
import { count } from "./words.js";

const MOST = 10_000; // sampling points

/** Shows the sampling points of a job. */
export class Gallery {
  constructor(job) {
    this.job = job;
    this.points = [];
    this.image = make("img", { class: "samples", alt: "" });
    this.words = make("p", { class: "facts" });
    this.files = make("p", { class: "links" });
    this.slider = make("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": "Sampling point", input: () => this._show() });
    this.stage = make("div", { hidden: true }, this.image, this.slider, this.words, this.files);
    this.nothing = make("p", { class: "empty" }, "No samples yet.");
    this.root = make("section", { "aria-label": "Samples" }, make("h2", {}, "Samples"), this.nothing, this.stage);
  }

  /** Load all sampling points. Who looks at the newest goes on to what is the newest now. */
  async load() {
    const isAtEnd = Number(this.slider.value) >= this.points.length - 1;
    this.points = await askAll(`${this.job.links.samples}?limit=200`, MOST);
    this.nothing.hidden = this.points.length > 0;
    this.stage.hidden = this.points.length === 0;
    this.slider.max = String(Math.max(0, this.points.length - 1));
    if (isAtEnd) this.slider.value = this.slider.max;
    if (this.points.length) this._show();
  }

  _show() {
    const point = this.points[Number(this.slider.value)];
    const path = `${this.job.links.samples}/${point.step}`;
    const formats = Object.keys(point.formats);
    const isPicture = formats.includes("png");
    this.image.hidden = !isPicture;
    if (isPicture) showIn(this.image, `${path}?format=png`).catch(complain);
    this.image.alt = `Samples at step ${count(point.step)}`;
    this.slider.setAttribute("aria-valuetext", `step ${count(point.step)}`);
    fill(this.words, `Step ${count(point.step)}, ${Number(this.slider.value) + 1} of ${this.points.length} sampling points, ${count(point.count)} samples from latents that stay the same.`);
    fill(this.files, formats.map((format) => make("button", { type: "button", class: "quiet", click: doing(() => download(`${path}?format=${format}`, `samples-${point.step}.${format}`)) }, format)), isPicture ? ["gif", "png"].map((kind) => make("button", { type: "button", class: "quiet", click: doing(() => download(`${this.job.links.self}/timeline.${kind}`, `timeline.${kind}`)) }, { gif: "all, moving", png: "all, side by side" }[kind])) : null);
  }
}

/** A form that draws new samples from the newest checkpoint, as soon as there is one. */
export function drawing(job) {
  const number = make("input", { type: "number", min: "1", max: "10000", value: "16", required: true });
  const seed = make("input", { type: "number", min: "0", value: "1", required: true });
  const truncation = make("input", { type: "number", min: "0.05", max: "1", step: "0.05", value: "1", required: true });
  const path = make("input", { type: "checkbox" });
  const classes = job.resolved_spec.model.conditional ? make("input", { type: "text", placeholder: "all" }) : null;
  const place = make("div", { class: "drawn", "aria-live": "polite" });
  const draw = doing(async () => {
    fill(place, make("p", { class: "empty" }, "A worker draws them..."));
    const wish = { n: Number(number.value), seed: Number(seed.value), truncation: Number(truncation.value) };
    if (path.checked) wish.mode = "interpolate";
    if (classes?.value.trim()) wish.classes = classes.value.split(",").map((name) => name.trim());
    try {
      const file = await ordered(`${job.links.samples}?wait=30`, wish);
      fill(place, await shown(file, wish));
    } catch (error) {
      fill(place);
      throw error;
    }
  });
  return make("section", { "aria-label": "Draw samples" }, make("h2", {}, "Draw samples"),
    make("div", { class: "filters" },
      make("label", {}, "How many ", number), make("label", {}, "Seed ", seed), make("label", {}, "Truncation ", truncation),
      make("label", {}, "From one to the next ", path),
      classes && make("label", {}, "Classes ", classes),
      make("button", { type: "button", click: draw }, "Draw")),
    place);
}

/** Ask for samples until they are ready; return the response with the file. */
async function ordered(path, wish) {
  const response = await send(path, { method: "POST", json: wish });
  if (response.status !== 202) return response;
  let order = await response.json();
  while (order.status === "queued" || order.status === "rendering") {
    const { version } = order;
    order = await ask(`${order.links.self}?wait=30&since=${version}`);
    if (order.version === version) await new Promise((resume) => setTimeout(resume, 500)); // others wait, too
  }
  return send(`${order.links.self}/file`);
}

/** Show a file as what it is: a picture, a sound, or rows of a table. */
async function shown(response, wish) {
  const kind = response.headers.get("Content-Type").split(";")[0];
  const file = await response.blob();
  const address = URL.createObjectURL(file);
  const save = make("a", { class: "button", href: address, download: `samples-${wish.seed}.${kind.split("/").at(-1)}` }, "Save");
  if (kind.startsWith("image/")) return make("div", {}, make("img", { class: "samples", src: address, alt: `${wish.n} samples, seed ${wish.seed}` }), save);
  if (kind.startsWith("audio/")) return make("div", {}, make("audio", { controls: true, src: address }), save);
  if (kind === "text/csv") return make("div", {}, make("pre", {}, (await file.text()).split("\n").slice(0, 12).join("\n")), save);
  return save;
}
