/** Axes: which numbers stand at them, and where a number lies. */

/** Return round numbers between two others, about so many. */
export function ticks(low, high, about) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index += 1) found.push(index * step);
  return found;
}

/** Return the powers of ten between two positive numbers, each so many-th where there are too many. */
export function powers(low, high, most) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return ticks(low, high, 4).filter((value) => value > 0);
  const every = Math.ceil((last - first + 1) / most);
  const found = [];
  for (let power = first; power <= last; power += every) found.push(10 ** power);
  return found;
}

/** Return a number of an axis as short as it can be told from its neighbours. */
export function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(0).replace("e+", "e");
  return String(Number(value.toPrecision(6)));
}

/** Return the function that takes numbers to pixels, from one range to another. */
export function scale(low, high, from, to, isLog) {
  const at = isLog ? Math.log : (value) => value;
  const factor = (to - from) / (at(high) - at(low) || 1);
  const base = at(low);
  return (value) => from + (at(value) - base) * factor;
}
