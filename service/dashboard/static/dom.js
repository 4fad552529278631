/** Makes elements. Texts become text nodes, so nothing that anybody has named can become markup. */

/**
 * Return an element. Attributes whose value is a function listen to the event of their name; those that are null or
 * false are left out, as are children that are null or false.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  fill(element, ...children);
  return element;
}

/** Give an element these children instead of those it has. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return the element of the page with an id. */
export function find(id) {
  return document.getElementById(id);
}

/** Say something to everybody, those who listen to the page too. */
export function announce(text) {
  find("announcement").textContent = text;
}

/** Let an update of a page's part wait for the next frame, and make one of many. */
export function once(update) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      update();
    });
  };
}

/** Return the work, of which one is under way at a time: whoever asks meanwhile gets one more after it. */
export function oneAtATime(work) {
  let running = null;
  let isWanted = false;
  return () => {
    isWanted = true;
    running ??= (async () => {
      while (isWanted) {
        isWanted = false;
        await work();
      }
    })().finally(() => { running = null; });
    return running;
  };
}
