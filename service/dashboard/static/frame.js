/** What every page has: the header's marks, the question for an API key, and words for what went wrong. */

import { fill, find, make } from "./dom.js";
import { Problem, apiKey, keepApiKey } from "./service.js";

/** Begin a page: run its main function and show what it raises. */
export function begin(main) {
  document.addEventListener("key-wanted", askForKey);
  if (apiKey()) offerToForgetKey();
  main().catch(complain);
}

/** Show what went wrong at the top of the page; a missing key has its own question. */
export function complain(error) {
  if (error.name === "AbortError" || (error instanceof Problem && error.status === 401)) return;
  const faults = (error.errors || []).map((fault) => make("li", {}, faultText(fault)));
  fill(
    find("complaint"),
    make("strong", {}, error.message),
    faults.length ? make("ul", {}, faults) : null,
    make("button", { type: "button", class: "quiet", click: forgive }, "Close"),
  );
  find("complaint").hidden = false;
}

/** Take the words about what went wrong away. */
export function forgive() {
  find("complaint").hidden = true;
}

/** Tell one fault: where, what, and what would be right. */
function faultText(fault) {
  const allowed = fault.allowed === undefined || fault.allowed === null ? "" : ` (${allowedText(fault.allowed)})`;
  return `${fault.pointer}: ${fault.message}${allowed}`;
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
