/** What is drawn of a series: for each column of pixels the values it begins and ends with, and its extremes. */

/** Return the index of the first step that is not before another; steps ascend. */
export function indexOf(steps, step) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the least and the greatest finite value from one index to before another; of positive ones alone for a log. */
export function extremes(values, from, to, isLog) {
  let low = Infinity;
  let high = -Infinity;
  for (let index = from; index < to; index += 1) {
    const value = values[index];
    if (!Number.isFinite(value) || (isLog && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * Draw a series. Where several values share a column of pixels, the column is filled from the lowest to the highest of
 * them: a spike of a single step stays visible, and 100,000 steps cost no more than the screen is wide.
 */
export function drawSeries(context, steps, values, from, to, x, y, isLog) {
  const isDense = to - from > 2 * (x(steps[to - 1]) - x(steps[from]));
  if (isDense) fillColumns(context, steps, values, from, to, x, y, isLog);
  else strokeLine(context, steps, values, from, to, x, y, isLog);
}

function isDrawn(value, isLog) {
  return Number.isFinite(value) && !(isLog && value <= 0);
}

function strokeLine(context, steps, values, from, to, x, y, isLog) {
  let isDown = false;
  context.beginPath();
  for (let index = from; index < to; index += 1) {
    const value = values[index];
    if (!isDrawn(value, isLog)) {
      isDown = false;
      continue;
    }
    const [at, height] = [x(steps[index]), y(value)];
    if (isDown) context.lineTo(at, height);
    else {
      context.moveTo(at, height);
      context.lineTo(at, height + 0.01); // so that a single point is seen
    }
    isDown = true;
  }
  context.stroke();
}

/** Rectangles of whole pixels are filled many times as fast as lines are drawn that go up and down as often. */
function fillColumns(context, steps, values, from, to, x, y, isLog) {
  let column = null;
  let low = 0;
  let high = 0;
  let last = null; // the value that the column before ended with, from which this one goes on
  const finish = () => {
    if (column === null) return;
    const top = Math.round(low) - 1;
    context.fillRect(column, top, 1, Math.max(2, Math.round(high) - top));
  };
  for (let index = from; index < to; index += 1) {
    const value = values[index];
    if (!isDrawn(value, isLog)) {
      finish();
      column = null;
      last = null;
      continue;
    }
    const at = Math.round(x(steps[index]));
    const height = y(value);
    if (at !== column) {
      finish();
      column = at;
      low = Math.min(height, last ?? height);
      high = Math.max(height, last ?? height);
    }
    if (height < low) low = height;
    if (height > high) high = height;
    last = height;
  }
  finish();
}

/** Return an exponential average of values with a weight of 0 to 1 on what was; its beginning is not drawn to 0. */
export function smooth(values, weight) {
  const smoothed = new Array(values.length);
  let sum = 0;
  let share = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (!Number.isFinite(value)) {
      smoothed[index] = value;
      continue;
    }
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    smoothed[index] = sum / share;
  }
  return smoothed;
}
