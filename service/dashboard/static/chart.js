/** A chart of series over steps: drawn on a canvas, moved through with pointer and keys, told as a table. */

import { fill, make, once } from "./dom.js";
import { powers, scale, tickText, ticks } from "./scale.js";
import { drawSeries, extremes, indexOf, smooth } from "./trace.js";
import { count, measured } from "./words.js";

const LEFT = 52;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;
const HEIGHT = 260;
const TABLE_ROWS = 50;
const TO_ZOOM = 6; // pixels that a pointer is dragged at least
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Charts of the same steps move together: the range that is shown, and the step that is pointed at. */
export class View {
  constructor() {
    this.charts = [];
    this.range = null; // [first, last]; null is all
    this.cursor = null;
    this.onRange = () => {};
  }

  show(range) {
    this.range = range;
    this.onRange(range);
    this.redraw();
  }

  point(step) {
    this.cursor = step;
    this.redraw();
  }

  redraw() {
    for (const chart of this.charts) chart.redraw();
  }
}

/** One chart. `series` are {name, label}; `references` is by name of series the value at equilibrium. */
export class Chart {
  constructor(view, title, series, { isLog = false } = {}) {
    this.view = view;
    this.title = title;
    this.isLog = isLog;
    this.weight = 0;
    this.references = {};
    this.series = series.map((one, index) => ({ ...one, color: index, isShown: true, steps: [], values: [], smoothed: null }));
    this._from = this._to = null; // where a pointer went down, and where it is: what is between is looked at closer
    this.redraw = once(() => this.draw());
    this._toStep = () => 0;
    this._build();
    view.charts.push(this);
    new ResizeObserver(this.redraw).observe(this.canvas);
    DARK.addEventListener("change", this.redraw);
  }

  /** Replace the numbers of a series; steps ascend, and a value that is not finite may be null. */
  set(name, steps, values) {
    const one = this.series.find((each) => each.name === name);
    Object.assign(one, { steps, values, smoothed: null });
    this.redraw();
  }

  /** Add numbers at the end of a series. */
  append(name, steps, values) {
    const one = this.series.find((each) => each.name === name);
    const from = one.steps.length ? indexOf(steps, one.steps.at(-1) + 1) : 0;
    for (let index = from; index < steps.length; index += 1) {
      one.steps.push(steps[index]);
      one.values.push(values[index]);
    }
    one.smoothed = null;
    this.redraw();
  }

  /** Draw a weight of 0 to 1 of what was into each value. */
  smooth(weight) {
    this.weight = weight;
    for (const one of this.series) one.smoothed = null;
    this.redraw();
  }

  /** Draw everything now. */
  draw() {
    const context = this._clear();
    const [first, last] = this.range();
    const shown = this.series.filter((one) => one.isShown && one.steps.length).map((one) => this._within(one, first, last));
    if (!shown.length) {
      this._sayNothing(context);
      return;
    }
    const [low, high] = this._heights(shown);
    const x = scale(first, last, LEFT, this.width - RIGHT, false);
    const y = scale(low, high, HEIGHT - BOTTOM, TOP, this.isLog);
    this._toStep = (at) => Math.round(first + ((at - LEFT) / (this.width - RIGHT - LEFT)) * (last - first));
    this._drawAxes(context, x, y, first, last, low, high);
    this._drawReferences(context, y, low, high);
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, this.width - LEFT - RIGHT, HEIGHT);
    context.clip();
    for (const each of shown) this._drawSeries(context, each, x, y);
    this._drawCursor(context, x, first, last);
    this._drawSelection(context);
    context.restore();
    this._tell(first, last);
  }

  /** Return the first and the last step that are shown. */
  range() {
    if (this.view.range) return this.view.range;
    let first = Infinity;
    let last = -Infinity;
    for (const chart of this.view.charts) {
      for (const { steps } of chart.series) {
        if (!steps.length) continue;
        first = Math.min(first, steps[0]);
        last = Math.max(last, steps.at(-1));
      }
    }
    return last > first ? [first, last] : [Number.isFinite(first) ? first : 0, (Number.isFinite(first) ? first : 0) + 1];
  }

  _build() {
    this.canvas = make("canvas", { tabindex: "0", role: "img", class: "plot", keydown: (event) => this._press(event) });
    this.readout = make("p", { class: "readout" });
    this.table = make("tbody");
    this.details = make("details", { class: "numbers", toggle: () => this._fillTable() },
      make("summary", {}, "As a table"),
      make("div", { class: "scrolls" }, make("table", {},
        make("caption", {}, `${this.title}, ${TABLE_ROWS} of the steps shown`),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "step"), this.series.map((one) => make("th", { scope: "col" }, one.label)))),
        this.table)));
    const log = make("label", {}, make("input", { type: "checkbox", checked: this.isLog, change: (event) => {
      this.isLog = event.target.checked;
      this.redraw();
    } }), " log scale");
    this.root = make("figure", { class: "chart" },
      make("figcaption", {}, make("h3", {}, this.title), log),
      make("div", { class: "legend" }, this.series.map((one) => this._legend(one))),
      this.canvas, this.readout, this.details);
    this._listen();
  }

  _legend(one) {
    const box = make("input", { type: "checkbox", checked: true, change: () => {
      one.isShown = box.checked;
      this.redraw();
    } });
    return make("label", { class: `series color-${one.color}` }, box, make("span", { class: "mark" }), ` ${one.label}`);
  }

  _listen() {
    const at = (event) => event.clientX - this.canvas.getBoundingClientRect().left;
    this.canvas.addEventListener("pointerdown", (event) => {
      this._from = this._to = at(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      this._to = at(event);
      this.view.point(this._toStep(this._to));
    });
    this.canvas.addEventListener("pointerup", () => this._select());
    this.canvas.addEventListener("pointercancel", () => { this._from = null; });
    this.canvas.addEventListener("pointerleave", () => {
      if (document.activeElement !== this.canvas) this.view.point(null);
    });
    this.canvas.addEventListener("dblclick", () => this.view.show(null));
    this.canvas.addEventListener("focus", () => this.view.cursor ?? this.view.point(this.range()[1]));
    this.canvas.addEventListener("blur", () => this.view.point(null));
  }

  _select() {
    if (this._from === null) return; // the pointer went down elsewhere
    const [from, to] = [this._from, this._to].sort((a, b) => a - b);
    this._from = null;
    if (to - from >= TO_ZOOM) this.view.show(this._whole(this._toStep(from), this._toStep(to)));
    else this.redraw();
  }

  _press(event) {
    const [first, last] = this.range();
    const stride = Math.max(1, Math.round((last - first) / (event.shiftKey ? 10 : 100)));
    const cursor = this.view.cursor ?? last;
    const moves = {
      ArrowLeft: () => this.view.point(Math.max(first, cursor - stride)),
      ArrowRight: () => this.view.point(Math.min(last, cursor + stride)),
      Home: () => this.view.point(first),
      End: () => this.view.point(last),
      "+": () => this._zoom(cursor, 0.5),
      "=": () => this._zoom(cursor, 0.5),
      "-": () => this._zoom(cursor, 2),
      0: () => this.view.show(null),
      Escape: () => this.view.show(null),
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
  }

  _zoom(around, factor) {
    const [first, last] = this.range();
    this.view.show(this._whole(around - (around - first) * factor, around + (last - around) * factor));
  }

  _whole(first, last) {
    const all = this.view.range;
    this.view.range = null;
    const [least, most] = this.range();
    this.view.range = all;
    const from = Math.max(least, Math.round(first));
    const to = Math.min(most, Math.max(from + 1, Math.round(last)));
    return from <= least && to >= most ? null : [from, to];
  }

  _sayNothing(context) {
    context.font = "14px system-ui, sans-serif";
    context.fillStyle = this.colors.quiet;
    context.textAlign = "center";
    context.fillText("No steps yet.", this.width / 2, HEIGHT / 2);
    fill(this.readout);
    this.canvas.setAttribute("aria-label", `${this.title}: no steps yet`);
  }

  _clear() {
    const ratio = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    if (this.canvas.width !== Math.round(this.width * ratio) || this.canvas.height !== Math.round(HEIGHT * ratio)) {
      this.canvas.width = Math.round(this.width * ratio);
      this.canvas.height = Math.round(HEIGHT * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, HEIGHT);
    const style = getComputedStyle(this.canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    this.colors = { ink: color("--ink"), quiet: color("--quiet"), line: color("--line"), accent: color("--accent") };
    for (const one of this.series) one.paint = color(`--series-${one.color}`);
    return context;
  }

  _within(one, first, last) {
    if (this.weight && !one.smoothed) one.smoothed = smooth(one.values, this.weight);
    return {
      one,
      from: Math.max(0, indexOf(one.steps, first) - 1),
      to: Math.min(one.steps.length, indexOf(one.steps, last + 1) + 1),
      values: this.weight ? one.smoothed : one.values,
    };
  }

  _heights(shown) {
    let low = Infinity;
    let high = -Infinity;
    for (const { one, from, to, values } of shown) {
      const [least, most] = extremes(values, from, to, this.isLog);
      low = Math.min(low, least);
      high = Math.max(high, most);
      const reference = this.references[one.name];
      if (reference !== undefined && !(this.isLog && reference <= 0)) {
        low = Math.min(low, reference);
        high = Math.max(high, reference);
      }
    }
    if (!(high >= low)) return this.isLog ? [0.1, 1] : [0, 1];
    if (this.isLog) return low === high ? [low / 2, high * 2] : [low, high];
    const margin = (high - low || Math.abs(high) || 1) * 0.05;
    return [low - margin, high + margin];
  }

  _drawAxes(context, x, y, first, last, low, high) {
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = this.colors.quiet;
    context.strokeStyle = this.colors.line;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const value of this.isLog ? powers(low, high, 6) : ticks(low, high, 5)) {
      const at = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(this.width - RIGHT, at);
      context.stroke();
      context.fillText(tickText(value), LEFT - 6, at);
    }
    context.textAlign = "center";
    for (const step of ticks(first, last, this.width / 110)) {
      if (Number.isInteger(step)) context.fillText(count(step), Math.min(x(step), this.width - RIGHT - 18), HEIGHT - BOTTOM / 2);
    }
  }

  _drawReferences(context, y, low, high) {
    context.setLineDash([5, 4]);
    for (const one of this.series) {
      const value = this.references[one.name];
      if (!one.isShown || value === undefined || value < low || value > high) continue;
      context.strokeStyle = one.paint;
      context.globalAlpha = 0.7;
      context.beginPath();
      context.moveTo(LEFT, y(value));
      context.lineTo(this.width - RIGHT, y(value));
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  _drawSeries(context, { one, from, to, values }, x, y) {
    context.strokeStyle = context.fillStyle = one.paint;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    drawSeries(context, one.steps, values, from, to, x, y, this.isLog);
  }

  _drawCursor(context, x, first, last) {
    const { cursor } = this.view;
    if (cursor === null || cursor < first || cursor > last) return;
    context.strokeStyle = this.colors.ink;
    context.lineWidth = 1;
    context.globalAlpha = 0.5;
    context.beginPath();
    context.moveTo(x(cursor), TOP);
    context.lineTo(x(cursor), HEIGHT - BOTTOM);
    context.stroke();
    context.globalAlpha = 1;
  }

  _drawSelection(context) {
    if (this._from === null) return;
    context.fillStyle = this.colors.accent;
    context.globalAlpha = 0.15;
    context.fillRect(Math.min(this._from, this._to), TOP, Math.abs(this._to - this._from), HEIGHT - BOTTOM - TOP);
    context.globalAlpha = 1;
  }

  _tell(first, last) {
    const step = this.view.cursor ?? last;
    const told = this.series.filter((one) => one.isShown && one.steps.length).map((one) => {
      const index = nearest(one.steps, step);
      return make("span", { class: `color-${one.color}` }, make("span", { class: "mark" }), ` ${one.label} ${measured(one.values[index])}`);
    });
    fill(this.readout, make("span", {}, `step ${count(step)}`), told);
    this.canvas.setAttribute("aria-label", `${this.title}, steps ${count(first)} to ${count(last)}. ${this.readout.textContent}`);
    if (this.details.open) this._fillTable();
  }

  _fillTable() {
    if (!this.details.open) return;
    const [first, last] = this.range();
    const longest = this.series.reduce((a, b) => (b.steps.length > a.steps.length ? b : a));
    const [from, to] = [indexOf(longest.steps, first), indexOf(longest.steps, last + 1)];
    const rows = Math.min(TABLE_ROWS, to - from);
    const steps = Array.from({ length: rows }, (_, row) => longest.steps[from + Math.round((row * (to - from - 1)) / Math.max(1, rows - 1))]);
    fill(this.table, steps.map((step) => make("tr", {}, make("th", { scope: "row" }, count(step)),
      this.series.map((one) => make("td", {}, one.steps.length ? measured(one.values[nearest(one.steps, step)]) : "")))));
  }
}

/** Return the index of the step that is nearest to another. */
function nearest(steps, step) {
  const after = Math.min(steps.length - 1, indexOf(steps, step));
  return after > 0 && step - steps[after - 1] < steps[after] - step ? after - 1 : after;
}
