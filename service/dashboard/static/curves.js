/** The curves of a job or of several: what is loaded, what comes in, what is seen closer when a part is chosen. */

import { Chart, View } from "./chart.js";
import { fill, make } from "./dom.js";
import { complain } from "./frame.js";
import { ask } from "./service.js";
import { indexOf } from "./trace.js";

const POINTS = 4000; // of an overview
const MOST = 100_000; // steps that have come in one by one before an overview is asked for again
const CLOSER_AFTER_MS = 250;

const CHARTS = [
  {
    title: "Losses",
    series: [
      { name: "value", label: "value V(G,D)" },
      { name: "d_loss", label: "d_loss" },
      { name: "g_loss_saturating", label: "g_loss saturating" },
      { name: "g_loss_non_saturating", label: "g_loss non-saturating" },
      { name: "g_loss", label: "g_loss" },
      { name: "total_loss", label: "total_loss" },
    ],
  },
  { title: "What D makes of reals and of fakes", series: [{ name: "d_real", label: "D(x)" }, { name: "d_fake", label: "D(G(z))" }] },
  { title: "Gradient norms", series: [{ name: "g_grad_norm", label: "G's gradient" }, { name: "d_grad_norm", label: "D's gradient" }], isLog: true },
];

/** Return the columns that a job records: they depend on its objective. */
export async function recordedColumns(job) {
  return Object.keys((await ask(`${job.links.losses}?max_points=4`)).columns);
}

/** The charts of one job, which follow its stream. */
export class Curves {
  constructor(job, recorded) {
    this.job = job;
    this.view = new View();
    // What G minimises is one of its two losses where both are recorded.
    const isShown = ({ name }) => recorded.includes(name) && !(name === "g_loss" && recorded.includes("g_loss_saturating"));
    this.charts = CHARTS.map((one) => ({ ...one, series: one.series.filter(isShown) })).filter((one) => one.series.length)
      .map(({ title, series, isLog }) => new Chart(this.view, title, series, { isLog }));
    this.view.onRange = () => this._lookCloserSoon();
    this.loading = null;
    this.meanwhile = []; // changes while an overview is on its way, which may not hold them
    this.root = make("section", { "aria-label": "Curves" }, make("h2", {}, "Curves"), controls(this.view, this.charts), this.charts.map((chart) => chart.root));
  }

  /** Load an overview of all steps so far. */
  load() {
    this.loading ??= this._load().finally(() => { this.loading = null; });
    return this.loading;
  }

  async _load() {
    this.meanwhile = [];
    const answer = await ask(this._address());
    this.cameIn = 0;
    for (const [chart, name] of this._named()) {
      chart.references = answer.references;
      chart.set(name, answer.columns.step.slice(), answer.columns[name]);
    }
    for (const change of this.meanwhile) change();
  }

  /** Add what a flush has recorded. */
  take({ columns }) {
    this._change(() => {
      for (const [chart, name] of this._named()) chart.append(name, columns.step, columns[name]);
    });
    this.cameIn += columns.step.length;
    if (this.cameIn > MOST) this.load().catch(complain);
  }

  /** Forget the steps after one: they are taken again. */
  forgetAfter(step) {
    this._change(() => {
      for (const [chart, name] of this._named()) {
        const one = chart.series.find((each) => each.name === name);
        const end = indexOf(one.steps, step + 1);
        chart.set(name, one.steps.slice(0, end), one.values.slice(0, end));
      }
    });
  }

  _change(change) {
    change();
    if (this.loading) this.meanwhile.push(change);
  }

  _named() {
    return this.charts.flatMap((chart) => chart.series.map((one) => [chart, one.name]));
  }

  _address(range) {
    const names = this._named().map(([, name]) => name).join(",");
    const part = range ? `&from_step=${range[0]}&to_step=${range[1]}` : "";
    return `${this.job.links.losses}?columns=${names}&max_points=${POINTS}${part}`;
  }

  _lookCloserSoon() {
    clearTimeout(this.timer);
    const { range } = this.view;
    if (range) this.timer = setTimeout(() => this._lookCloser(range).catch(complain), CLOSER_AFTER_MS);
  }

  async _lookCloser(range) {
    const { columns } = await ask(this._address(range));
    for (const [chart, name] of this._named()) {
      const one = chart.series.find((each) => each.name === name);
      const [from, to] = [indexOf(one.steps, range[0]), indexOf(one.steps, range[1] + 1)];
      if (to - from >= columns.step.length) continue; // more of them are here already
      chart.set(name, [...one.steps.slice(0, from), ...columns.step, ...one.steps.slice(to)],
        [...one.values.slice(0, from), ...columns[name], ...one.values.slice(to)]);
    }
  }
}

/** What moves all charts of a view: how smooth, how near. */
export function controls(view, charts) {
  const smoothing = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: "0", input: () => {
    for (const chart of charts) chart.smooth(Number(smoothing.value));
  } });
  const part = make("span", { class: "part" });
  const onRange = view.onRange;
  view.onRange = (range) => {
    onRange(range);
    fill(part, range ? `steps ${range[0]} to ${range[1]}` : "all steps");
  };
  fill(part, "all steps");
  return make("div", { class: "controls" },
    make("label", {}, "Smooth ", smoothing),
    part,
    make("button", { type: "button", class: "quiet", click: () => view.show(null) }, "Show all"),
    make("span", { class: "hint" }, "Drag to look closer. Keys: ← → move, + − zoom, Esc shows all."));
}
