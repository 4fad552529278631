/** What every page has: the header's marks, the question for an API key, and words for what went wrong or is away. */

import { fill, find, make } from "./dom.js";
import { Problem, apiKey, isAway, keepApiKey, pause } from "./service.js";
import { words } from "./words.js";

const AGAIN_MS = 2000;

/** Begin a page: run its main function and show what it raises. */
export function begin(main) {
  document.addEventListener("key-wanted", askForKey);
  document.addEventListener("answered", () => tellAway(""));
  if (apiKey()) offerToForgetKey();
  main().catch((error) => {
    find("loading")?.remove();
    complain(error);
  });
}

/** Show what went wrong at the top of the page; a missing key has its own question. */
export function complain(error) {
  if (error.name === "AbortError" || (error instanceof Problem && error.status === 401)) return;
  const faults = error.errors ?? [];
  const isListed = faults.length > 0 && faults.every((fault) => error.message.includes(fault.message));
  fill(
    find("complaint"),
    make("strong", {}, isListed ? error.title : error.message),
    faults.length ? make("ul", {}, faults.map((fault) => make("li", {}, faultText(fault)))) : null,
    make("button", { type: "button", class: "quiet", click: forgive }, "Close"),
  );
  find("complaint").hidden = false;
}

/** Take the words about what went wrong away. */
export function forgive() {
  find("complaint").hidden = true;
}

/** Do what a page goes on with by itself: while the service is away, say so and try again. Raises what is refused. */
export async function insist(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error)) throw error;
      tellAway(`${error.message} Trying again...`);
    }
    await pause(AGAIN_MS);
  }
}

/** Say why nothing is new, in view; a text that stands there already is not set again, for screen readers repeat it. */
function tellAway(text) {
  const place = find("away");
  if (place.textContent !== text) place.textContent = text;
}

/** Tell one fault: where, what, and what would be right unless that is said already. */
function faultText({ pointer, message, allowed }) {
  const place = pointer.split("/").filter(Boolean).map(words).join(", ");
  const right = typeof allowed === "object" ? Object.values(allowed ?? {}) : [allowed];
  const isSaid = right.every((value) => message.includes(value));
  return `${place ? `${place}: ` : ""}${message}${isSaid ? "" : ` (${allowedText(allowed)})`}`;
}

function allowedText(allowed) {
  if (Array.isArray(allowed)) return `one of ${allowed.join(", ")}`;
  if (typeof allowed !== "object") return String(allowed);
  return Object.entries(allowed).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** Run what a button is for, and show what it raises. */
export function doing(work) {
  return async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      forgive();
      await work(event);
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
    }
  };
}

function askForKey() {
  const dialog = find("key-dialog");
  if (dialog.open) return;
  find("key-form").onsubmit = () => {
    keepApiKey(find("key").value.trim());
    location.reload();
  };
  dialog.showModal();
}

function offerToForgetKey() {
  const forget = () => {
    keepApiKey(null);
    location.reload();
  };
  find("pages").append(make("button", { type: "button", class: "quiet", click: forget }, "Forget my key"));
}
