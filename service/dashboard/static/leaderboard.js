/** A sweep while its members train: how many are how far, and which of them is best. */

import { seen } from "./attention.js";
import { fill, find, make } from "./dom.js";
import { doing, insist } from "./frame.js";
import { Listing } from "./listing.js";
import { ask, pause } from "./service.js";
import { count, measured, valueText, words } from "./words.js";

const EVERY_MS = 2000;
const MOST_COMPARED = 8;
const STATUSES = ["succeeded", "running", "queued", "paused", "cancelled", "failed"];

/** Show a sweep until all its members have ended. */
export async function follow(path) {
  let sweep = await insist(() => ask(path));
  const board = new Leaderboard(sweep);
  fill(find("content"), board.root);
  board.show(sweep);
  while (sweep.status !== "ended") {
    await pause(EVERY_MS);
    await seen();
    sweep = await insist(() => ask(path));
    board.show(sweep);
  }
}

/** The status of a sweep as a badge. */
export function badge(sweep) {
  return make("span", { class: `status ${sweep.status === "live" ? "running" : "succeeded"}` }, sweep.status);
}

/** How many members of a sweep are in each state. */
export function progress(members) {
  return STATUSES.filter((state) => members[state]).map((state) => `${count(members[state])} ${state}`).join(", ");
}

/** Shows a sweep, again and again. Its links, its buttons and the rows that are as they were stay what they are. */
class Leaderboard {
  constructor({ name, id, links, leaderboard: { data, metric, goal } }) {
    this.paths = [...new Set(data.flatMap((each) => Object.keys(each.parameters)))];
    this.compare = make("a", { class: "button" }, "Side by side");
    this.cancel = make("button", { type: "button", click: doing(() => ask(links.cancel, { method: "POST" })) }, "Cancel all");
    this.told = null;
    this.state = make("p");
    this.best = make("a");
    this.value = make("span");
    this.verdict = make("p", {}, "The best so far is ", this.best, this.value);
    this.none = make("p", { class: "empty" }, `No job has a ${words(metric)} yet.`);
    const body = make("tbody");
    this.rows = new Listing(body, (place) => place.job, (place) => this._row(place));
    this.root = make("div", {},
      make("div", { class: "head" },
        make("div", { class: "title" }, make("h1", {}, name ?? id), make("div", { class: "buttons" }, this.compare, this.cancel)),
        this.state, this.verdict, this.none),
      this._table(metric, goal, body));
  }

  show(sweep) {
    const told = JSON.stringify(sweep);
    if (told === this.told) return; // nobody's selection of text is lost for nothing
    this.told = told;
    const { members, leaderboard: { data, best, metric } } = sweep;
    this.compare.hidden = data.length < 2;
    this.compare.href = `/dashboard/compare?jobs=${data.slice(0, MOST_COMPARED).map((each) => each.job).join(",")}`;
    this.cancel.hidden = sweep.status !== "live";
    fill(this.state, badge(sweep), `${sweep.method} of ${count(members.total)} jobs: ${progress(members)}`);
    this.verdict.hidden = best === null;
    this.none.hidden = best !== null;
    if (best !== null) {
      this.best.href = `/dashboard/job?id=${best}`;
      this.best.textContent = parametersText(data[0]);
      this.value.textContent = ` with ${words(metric)} ${measured(data[0].value)}.`;
    }
    this.rows.show(data);
  }

  _table(metric, goal, body) {
    const head = ["rank", words(metric), "", "status", ...this.paths, "at step", "step"];
    return make("div", { class: "scrolls" }, make("table", {},
      make("caption", {}, `${goal === "higher" ? "Higher" : "Lower"} is better`),
      make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))),
      body));
  }

  _row({ rank, value, job, status, parameters, value_step: at, step }) {
    return make("tr", {},
      make("th", { scope: "row" }, rank ?? "-"),
      make("td", {}, rank ? measured(value) : "-"),
      make("td", {}, make("a", { href: `/dashboard/job?id=${job}` }, "open")),
      make("td", {}, make("span", { class: `status ${status}` }, status)),
      this.paths.map((path) => make("td", {}, valueText(parameters[path]))),
      make("td", {}, at === null ? "-" : count(at)), make("td", {}, count(step)));
  }
}

function parametersText({ parameters }) {
  return Object.entries(parameters).map(([path, value]) => `${words(path.split(".").at(-1))} ${valueText(value)}`).join(", ");
}
