/** A form made of a JSON schema: a field for every value, empty where the service may choose. */

import { make } from "./dom.js";
import { words } from "./words.js";

/**
 * The fields of an object; `value()` holds what was filled in and nothing else. `root` is the schema with all
 * definitions; its `choices` are, by pointer, the names that a text can be.
 */
export class Fields {
  constructor(schema, root, pointer = "") {
    this.parts = Object.entries(schema.properties).map(([name, part]) => {
      const at = `${pointer}/${name}`;
      return [name, fieldOf({ ...resolved(part, root), ...(root.choices[at] && { enum: root.choices[at] }) }, root, at, name)];
    });
  }

  /** The nodes of all fields. */
  nodes() {
    return this.parts.map(([, part]) => part.root);
  }

  /** Return what was filled in, undefined where nothing was. */
  value() {
    const filled = this.parts.map(([name, part]) => [name, part.value()]).filter(([, value]) => value !== undefined);
    return filled.length ? Object.fromEntries(filled) : undefined;
  }

  /** Fill in values; what they do not name is emptied. */
  fill(values) {
    for (const [name, part] of this.parts) part.fill(values?.[name]);
  }

  /** Show behind empty fields what the service would choose. */
  hint(values) {
    for (const [name, part] of this.parts) part.hint(values?.[name]);
  }

  /** Return what is wrong with the fields, as the service tells faults, before it can see them: what is no number. */
  faults() {
    return this.leaves().filter((each) => each.isUnreadable()).map(({ pointer }) => ({ pointer, message: "not a number" }));
  }

  /** Return all fields of single values. */
  leaves() {
    return this.parts.flatMap(([, part]) => (part.leaves ? part.leaves() : [part]));
  }
}

/** Follow references, and take of several schemas the one that a person fills in. */
function resolved(schema, root) {
  const found = schema.$ref ? { ...root.$defs[schema.$ref.split("/").at(-1)], ...schema } : schema;
  const kinds = found.anyOf?.map((one) => resolved(one, root)).filter((one) => one.type !== "null");
  if (!kinds) return found;
  return kinds.length === 1 ? { ...kinds[0], ...found, anyOf: undefined } : { ...found, type: "json", kinds };
}

function fieldOf(schema, root, pointer, name) {
  if (schema.type === "object" && schema.properties) return new Group(schema, root, pointer, name);
  return new Field(schema, pointer, name);
}

class Group {
  constructor(schema, root, pointer, name) {
    this.fields = new Fields(schema, root, pointer);
    this.root = make("details", { class: "group" },
      make("summary", {}, words(name), schema.description ? make("small", {}, ` ${schema.description}`) : null),
      make("div", { class: "fields" }, this.fields.nodes()));
  }

  value() {
    return this.fields.value();
  }

  fill(values) {
    this.fields.fill(values);
    if (this.value() !== undefined) this.root.open = true;
  }

  hint(values) {
    this.fields.hint(values);
  }

  leaves() {
    return this.fields.leaves();
  }
}

class Field {
  constructor(schema, pointer, name) {
    this.schema = schema;
    this.pointer = pointer;
    const id = `field${pointer.replaceAll("/", "-")}`;
    this.input = make(...inputOf(schema, id));
    this.fault = make("span", { class: "fault", id: `${id}-fault` });
    this.root = make("div", { class: "field" },
      make("label", { for: id }, words(name)), this.input,
      schema.description ? make("small", {}, schema.description) : null, this.fault);
  }

  /** Whether something stands there that is no number: `value()` is as if it were empty then. */
  isUnreadable() {
    return this.input.validity.badInput;
  }

  value() {
    const text = this.input.value.trim();
    if (text === "") return undefined;
    if (this.schema.type === "string") return text;
    if (this.schema.type === "boolean") return text === "true";
    try {
      return JSON.parse(text); // a number, a list, an object
    } catch {
      return text; // the service says what it should be
    }
  }

  fill(value) {
    this.input.value = written(value);
  }

  hint(value) {
    if (this.schema.isDrawn) return;
    const text = written(value);
    if (this.input.tagName === "SELECT") this.input.options[0].text = text ? `as the recipe has it: ${text}` : "as the recipe has it";
    else {
      this.input.placeholder = value?.name ? told(value) : text;
      this.input.title = value?.name ? text : "";
    }
  }

  /** Say what is wrong with the value; nothing where it is right. */
  complain(text) {
    this.fault.textContent = text;
    if (text) {
      this.input.setAttribute("aria-invalid", "true");
      this.input.setAttribute("aria-describedby", this.fault.id);
    } else this.input.removeAttribute("aria-invalid");
  }

  /** Whether something was said to be wrong. */
  isFaulty() {
    return this.fault.textContent !== "";
  }

  /** Open all that the field lies in. */
  unfold() {
    for (let around = this.root.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  }

  /** Let people go on here, in the middle of what they see. */
  focus() {
    this.input.focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "center" });
  }
}

/** Return the number in an input, undefined where it may be empty and is; lead to what is no number and raise. */
export function numberIn(input, name) {
  const { badInput, valueMissing } = input.validity;
  if (badInput || valueMissing) {
    input.focus();
    throw new Error(`${name}: not a number`);
  }
  return input.value === "" ? undefined : Number(input.value);
}

/** A value as people write it into a field. */
function written(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What has a name and settings, as a schedule, in a word or two: the whole would be cut off. */
function told({ name, initial }) {
  if (initial === undefined) return name;
  return name === "constant" ? String(initial) : `${initial}, ${name}`;
}

function inputOf(schema, id) {
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (choices) return ["select", { id }, make("option", { value: "" }, "as the recipe has it"), ...choices.map((each) => make("option", { value: each }, String(each)))];
  const isNumber = schema.type === "integer" || schema.type === "number";
  if (!isNumber) return ["input", { id, type: "text", autocomplete: "off" }];
  return ["input", { id, type: "number", step: schema.type === "integer" ? "1" : "any", min: schema.minimum, max: schema.maximum }];
}
