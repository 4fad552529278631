/** A list of things as the children of an element, shown again and again while things change, come and go. */

/**
 * The node of a thing that is as it was is not touched: who has the focus in it, or has selected its text, keeps that. In
 * a node that is made anew, the focus goes to what is called the same. `build` makes the node of a thing.
 */
export class Listing {
  constructor(place, idOf, build) {
    this.place = place;
    this.idOf = idOf;
    this.build = build;
    this.known = new Map(); // by id: {told, node}
  }

  /** Show these things in this order, and nothing else. */
  show(things) {
    const focused = document.activeElement;
    const around = [...this.known].find(([, { node }]) => node.contains(focused))?.[0];
    this.known = new Map(things.map((thing) => [this.idOf(thing), this._entry(thing)]));
    arrange(this.place, [...this.known.values()].map(({ node }) => node));
    if (around !== undefined && document.activeElement !== focused) refocus(focused, this.known.get(around)?.node);
  }

  _entry(thing) {
    const told = JSON.stringify(thing);
    const known = this.known.get(this.idOf(thing));
    return known?.told === told ? known : { told, node: this.build(thing) };
  }
}

/** Give an element these children; those that stay, and in order, are not moved: that would take their focus. */
function arrange(place, nodes) {
  const kept = new Set(nodes);
  for (const child of [...place.children]) if (!kept.has(child)) child.remove();
  nodes.forEach((node, index) => place.children[index] === node || place.insertBefore(node, place.children[index] ?? null));
}

/** Give the focus back to what had it, or to what took its place in a node. */
function refocus(element, node) {
  const next = element.isConnected ? element : [...(node?.querySelectorAll("a, button, input") ?? [])].find((each) => nameOf(each) === nameOf(element));
  next?.focus({ preventScroll: true });
}

function nameOf(element) {
  return element.getAttribute("aria-label") ?? element.textContent;
}
