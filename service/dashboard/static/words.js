/** Numbers, times and values as people read them. */

const COUNT = new Intl.NumberFormat("en");

/** A whole number with separators of thousands. */
export function count(value) {
  return COUNT.format(value);
}

/** A measured number with four digits that count; what is not finite has been null on the way. */
export function measured(value) {
  if (value === null || value === undefined) return "not finite";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Seconds, in the two largest units that they fill. */
export function lasting(seconds) {
  if (seconds < 1) return "less than a second";
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const whole = Math.floor(left / size);
    if (whole) parts.push(`${whole} ${unit}`);
    left -= whole * size;
  }
  return parts.slice(0, 2).join(" ");
}

/** How long ago a moment was. */
export function ago(moment) {
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  return seconds < 10 ? "just now" : `${lasting(seconds)} ago`;
}

/** Bytes in the unit that suits them. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

/** The name of a column, a key or a code in words. */
export function words(name) {
  return name.replaceAll("_", " ");
}

/** A value of a spec as it stands there, a dash where there is none. */
export function valueText(value) {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "-";
}
