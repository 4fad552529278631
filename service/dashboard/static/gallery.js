/** The samples of a job through its training: a slider over the sampling points, and new ones on demand. */

import { fill, make } from "./dom.js";
import { numberIn } from "./form.js";
import { complain, doing } from "./frame.js";
import { ask, askAll, download, pause, send, showIn } from "./service.js";
import { count } from "./words.js";

const MOST = 10_000; // sampling points
const AGAIN_MS = 500;

/** Shows the sampling points of a job. */
export class Gallery {
  constructor(job) {
    this.job = job;
    this.points = [];
    this.offered = null; // formats, as buttons
    this.image = make("img", { class: "samples", alt: "" });
    this.rows = make("div", { hidden: true });
    this.words = make("p", { class: "facts" });
    this.files = make("p", { class: "links" });
    this.slider = make("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": "Sampling point", input: () => this._show() });
    this.stage = make("div", { hidden: true }, this.image, this.rows, this.slider, this.words, this.files);
    this.nothing = make("p", { class: "empty" }, "No samples yet.");
    this.root = make("section", { "aria-label": "Samples" }, make("h2", {}, "Samples"), this.nothing, this.stage);
  }

  /** Load all sampling points. Who looks at the newest goes on to what is the newest now. */
  async load() {
    const points = await askAll(`${this.job.links.samples}?limit=200`, MOST);
    const isAtEnd = Number(this.slider.value) >= this.points.length - 1;
    this.points = points;
    this.nothing.hidden = this.points.length > 0;
    this.stage.hidden = this.points.length === 0;
    this.slider.max = String(Math.max(0, this.points.length - 1));
    if (isAtEnd) this.slider.value = this.slider.max;
    if (this.points.length) this._show();
  }

  _show() {
    const point = this._point();
    const path = `${this.job.links.samples}/${point.step}`;
    const formats = Object.keys(point.formats);
    const isPicture = formats.includes("png");
    this.image.hidden = !isPicture;
    if (isPicture) showIn(this.image, `${path}?format=png`).catch(complain);
    this.rows.hidden = isPicture || !formats.includes("csv");
    if (!this.rows.hidden) this._showRows(point).catch(complain);
    this.image.alt = `Samples at step ${count(point.step)}`;
    this.slider.setAttribute("aria-valuetext", `step ${count(point.step)}`);
    fill(this.words, `Step ${count(point.step)}, ${Number(this.slider.value) + 1} of ${this.points.length} sampling points, ${count(point.count)} samples from latents that stay the same.`);
    this._offer(formats);
  }

  /** Let people save what they see. Buttons of the same formats stay: one may have the focus, or be at work. */
  _offer(formats) {
    if (this.offered === formats.join()) return;
    this.offered = formats.join();
    const save = (label, work) => make("button", { type: "button", class: "quiet", click: doing(work) }, label);
    const { links } = this.job;
    const one = (format) => save(format, () => {
      const { step } = this._point();
      return download(`${links.samples}/${step}?format=${format}`, `samples-${step}.${format}`);
    });
    const all = (kind, label) => save(label, () => download(`${links.self}/timeline.${kind}`, `timeline.${kind}`));
    fill(this.files, formats.map(one), formats.includes("png") ? [all("gif", "all, moving"), all("png", "all, side by side")] : null);
  }

  _point() {
    return this.points[Number(this.slider.value)];
  }

  async _showRows({ step }) {
    const table = await (await send(`${this.job.links.samples}/${step}?format=csv`)).text();
    if (this._point().step === step) fill(this.rows, firstRows(table)); // not yet another
  }
}

/** A form that draws new samples from a checkpoint, as soon as there is one. */
export class Drawing {
  constructor(job) {
    this.job = job;
    const whole = (attributes) => make("input", { type: "number", required: true, ...attributes });
    this.checkpoint = make("select", {}, make("option", { value: "latest" }, "the newest"));
    this.number = whole({ min: "1", max: "10000", value: "16" });
    this.seed = whole({ min: "0", value: "1" });
    this.truncation = whole({ min: "0.05", max: "1", step: "0.05", value: "1" });
    this.path = make("input", { type: "checkbox" });
    this.classes = job.resolved_spec.model.conditional ? make("input", { type: "text", placeholder: "all" }) : null;
    this.inputs = { n: this.number, seed: this.seed, truncation: this.truncation, ...(this.classes && { classes: this.classes }) };
    this.place = make("div", { class: "drawn", "aria-live": "polite" });
    this.root = make("section", { "aria-label": "Draw samples" }, make("h2", {}, "Draw samples"),
      make("div", { class: "filters" },
        make("label", {}, "How many ", this.number), make("label", {}, "Seed ", this.seed), make("label", {}, "Truncation ", this.truncation),
        make("label", {}, "Checkpoint ", this.checkpoint), make("label", {}, "From one to the next ", this.path),
        this.classes && make("label", {}, "Classes ", this.classes),
        make("button", { type: "button", click: doing(() => this._draw()) }, "Draw")),
      this.place);
  }

  /** Let people choose among the checkpoints that there are now, oldest first. */
  offer(checkpoints) {
    const { value } = this.checkpoint;
    const steps = checkpoints.map((one) => one.step).reverse();
    fill(this.checkpoint, make("option", { value: "latest" }, "the newest"), steps.map((step) => make("option", { value: String(step) }, `step ${count(step)}`)));
    if (steps.map(String).includes(value)) this.checkpoint.value = value;
  }

  async _draw() {
    this._blame([]);
    const wish = { n: numberIn(this.number, "How many"), seed: numberIn(this.seed, "Seed"), truncation: numberIn(this.truncation, "Truncation") };
    if (this.checkpoint.value !== "latest") wish.checkpoint = Number(this.checkpoint.value);
    if (this.path.checked) wish.mode = "interpolate";
    if (this.classes?.value.trim()) wish.classes = this.classes.value.split(",").map((name) => name.trim());
    this._say("A worker draws them...");
    try {
      const file = await ordered(`${this.job.links.samples}?wait=2`, wish, ({ made, n }) => this._say(`A worker draws them: ${count(made)} of ${count(n)}`));
      fill(this.place, await shown(file, wish));
    } catch (error) {
      fill(this.place);
      this._blame(error.errors ?? []);
      throw error;
    }
  }

  /** Mark the fields that the service found wrong, and go to the first. */
  _blame(faults) {
    const wrong = Object.entries(this.inputs).filter(([name]) => faults.some(({ pointer }) => pointer.split("/")[1] === name)).map(([, input]) => input);
    for (const input of Object.values(this.inputs)) {
      if (wrong.includes(input)) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    wrong[0]?.focus();
  }

  _say(text) {
    for (const { href } of this.place.querySelectorAll("a")) URL.revokeObjectURL(href); // what was drawn before
    fill(this.place, make("p", { class: "empty" }, text));
  }
}

/** Ask for samples until they are ready, telling how far they are; return the response with the file. */
async function ordered(path, wish, tell) {
  const response = await send(path, { method: "POST", json: wish });
  if (response.status !== 202) return response;
  let order = await response.json();
  while (order.status === "queued" || order.status === "rendering") {
    tell(order.progress);
    const { version } = order;
    order = await ask(`${order.links.self}?wait=30&since=${version}`);
    if (order.version === version) await pause(AGAIN_MS); // others wait, too
  }
  if (order.error) throw new Error(order.error.message);
  return send(order.links.file);
}

/** Show a file as what it is: a picture, a sound, or rows of a table. */
async function shown(response, wish) {
  const kind = response.headers.get("Content-Type").split(";")[0];
  const file = await response.blob();
  const address = URL.createObjectURL(file);
  const save = make("a", { class: "button", href: address, download: `samples-${wish.seed}.${kind.split("/").at(-1)}` }, "Save");
  if (kind.startsWith("image/")) return make("div", {}, make("img", { class: "samples", src: address, alt: `${wish.n} samples, seed ${wish.seed}` }), save);
  if (kind.startsWith("audio/")) return make("div", {}, make("audio", { controls: true, src: address }), save);
  if (kind === "text/csv") return make("div", {}, firstRows(await file.text()), save);
  return save;
}

function firstRows(table) {
  return make("pre", {}, table.split("\n").slice(0, 12).join("\n"));
}
