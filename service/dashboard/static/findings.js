/** What was found out about a job: measured quality and the diagnosis of the game, in words and numbers. */

import { Chart, View } from "./chart.js";
import { fill, make } from "./dom.js";
import { ask, askAll } from "./service.js";
import { count, measured, words } from "./words.js";

/** Return all measured steps of a job, ascending. */
export function measurements(job) {
  return askAll(`${job.links.quality}?limit=200`, Infinity);
}

/** Quality by step, beside what real data and trivial generators reach. */
export class Quality {
  constructor(job) {
    this.job = job;
    this.rows = [];
    this.place = make("div", {}, make("p", { class: "empty" }, "Not measured yet."));
    this.choice = make("select", { "aria-label": "Metric", change: () => this._draw() });
    this.chart = new Chart(new View(), "Over the steps", [{ name: "metric", label: "generator, with real data as a dashed line" }]);
    this.curve = make("div", { hidden: true }, make("label", {}, "Over the steps: ", this.choice), this.chart.root);
    this.root = make("section", { "aria-label": "Quality" }, make("h2", {}, "Quality"), this.place, this.curve);
  }

  async load() {
    this.rows = await measurements(this.job);
    if (!this.rows.length) return;
    const { legend } = await ask(`${this.job.links.quality}?limit=1`);
    const newest = this.rows.at(-1);
    fill(this.place, behind(newest), table(Object.keys(newest.metrics), legend, newest, Object.keys(newest.baselines ?? {})));
    const names = Object.keys(newest.metrics);
    if (this.choice.length !== names.length) fill(this.choice, names.map((name) => make("option", { value: name }, words(name))));
    this.curve.hidden = this.rows.length < 2;
    this._draw();
  }

  _draw() {
    const name = this.choice.value;
    const real = this.rows[0].real?.[name];
    this.chart.references = real === undefined || real === null ? {} : { metric: real };
    this.chart.set("metric", this.rows.map((row) => row.step), this.rows.map((row) => row.metrics[name]));
  }
}

function behind(row) {
  if (!row.behind.length) return null;
  return make("p", { class: "warning" }, `At step ${count(row.step)} these need no training and are better: ${row.behind.map(words).join(", ")}.`);
}

function table(metrics, legend, row, baselines) {
  const cell = (value) => make("td", {}, value === undefined ? "" : measured(value));
  return make("div", { class: "scrolls" }, make("table", {},
    make("caption", {}, `At step ${count(row.step)}`),
    make("thead", {}, make("tr", {}, ["metric", "generator", "real data", ...baselines.map(words)].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, metrics.map((name) => make("tr", {},
      make("th", { scope: "row", title: legend[name]?.description }, words(name), better(legend[name])),
      cell(row.metrics[name]), cell(row.real?.[name]), baselines.map((each) => cell(row.baselines[each][name])))))));
}

function better(meaning) {
  return make("small", {}, { higher: " more is better", lower: " less is better" }[meaning?.better] ?? "");
}

/** What goes on between the two players. */
export class Diagnosis {
  constructor(job) {
    this.job = job;
    this.place = make("div");
    this.root = make("section", { "aria-label": "Diagnosis" }, make("h2", {}, "Diagnosis"), this.place);
  }

  async load() {
    const { rules, rollbacks } = await ask(this.job.links.diagnosis);
    const raised = rules.filter((rule) => rule.state === "raised");
    const told = rules.filter((rule) => rule.state === "cleared");
    fill(this.place,
      raised.length ? make("ul", { class: "rules" }, raised.map(rule)) : make("p", {}, "Nothing is wrong between generator and discriminator, as far as the rules can see."),
      told.length ? make("p", { class: "facts" }, `Raised and cleared again: ${told.map((each) => words(each.rule)).join(", ")}.`) : null,
      rollbacks ? make("p", { class: "facts" }, `Rolled back ${rollbacks} times to a healthy checkpoint.`) : null);
  }
}

function rule({ rule: name, since_step: since, description, advice, evidence }) {
  const numbers = Object.entries(evidence?.numbers ?? {}).map(([key, value]) => `${words(key)} ${measured(value)}`).join(", ");
  return make("li", { class: "rule" },
    make("strong", {}, words(name)), since === null ? "" : ` since step ${count(since)}`,
    make("p", {}, description),
    numbers ? make("p", { class: "facts" }, `Steps ${count(evidence.first_step)} to ${count(evidence.last_step)}: ${numbers}`) : null,
    make("p", {}, `Try: ${advice}`));
}
