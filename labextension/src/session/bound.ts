/**
 * The stated bound of a window: what follows from counters that update in steps. The twin of
 * `jupyter_green/sessions/bound.py`, which tells why.
 */

import type { CounterInfo } from './vocabulary';

/** Probability left outside. */
const TAIL = 0.01;
/** The same for readings that were placed between two updates. */
const PLACED_TAIL = 0.04;

/** By counter, the least and the most that a reading may lag, in microjoules. */
export type Errors = Readonly<Record<string, readonly [least: number, most: number]>>;

/** The least and the most at the start, then at the end. */
type Lags = [number, number, number, number];

/** Indices of the lags at start and end that can come together; the widest case counts. */
const CASES = [
  [0, 3],
  [1, 2],
  [1, 3]
] as const;

const UNKNOWN = [0, 0] as const;

function lagOf(errors: Errors, name: string): readonly [number, number] | undefined {
  return Object.hasOwn(errors, name) ? errors[name] : undefined;
}

/**
 * Half-width of the 95 % interval around the difference of two stamps, in microjoules.
 *
 * Counters of one clock update together, so their lags add up. Those of different clocks are
 * independent: their means add up, their spreads add in quadrature.
 */
export function lagBoundUj(
  counted: Iterable<{ info: CounterInfo }>,
  atStart: Errors,
  atEnd: Errors
): number {
  const clocks = new Map<string, Lags>();
  const placed = new Map<string, [number, number]>();
  for (const { info } of counted) {
    const { name, clock, centred } = info;
    // The power before the very first readings is unknown: take that of the other end.
    const start = lagOf(atStart, name);
    const end = lagOf(atEnd, name);
    if (centred) {
      const widths = entry(placed, clock || name, () => [0, 0]);
      widths[0] += 2 * (start ?? UNKNOWN)[1];
      widths[1] += 2 * (end ?? UNKNOWN)[1];
    } else {
      const lags = entry(clocks, clock || name, () => [0, 0, 0, 0]);
      const [leastStart, mostStart] = start ?? end ?? UNKNOWN;
      const [leastEnd, mostEnd] = end ?? start ?? UNKNOWN;
      lags[0] += leastStart;
      lags[1] += mostStart;
      lags[2] += leastEnd;
      lags[3] += mostEnd;
    }
  }
  const bothSides = sum(
    [...placed.values()].map(widths => spread(...widths, PLACED_TAIL) ** 2)
  );
  const lags = [...clocks.values()];
  return Math.max(...CASES.map(ends => halfWidth(lags, ends, bothSides)));
}

function entry<V>(map: Map<string, V>, key: string, usual: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = usual();
    map.set(key, value);
  }
  return value;
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Around the plain difference, for one case of the lags at start and end. */
function halfWidth(
  lags: readonly Lags[],
  [start, end]: readonly [number, number],
  bothSides: number
): number {
  let mean = 0;
  let squares = bothSides;
  for (const lag of lags) {
    mean += (lag[start]! - lag[end]!) / 2;
    squares += spread(lag[start]!, lag[end]!, TAIL) ** 2;
  }
  return Math.abs(mean) + Math.sqrt(squares);
}

/** Half-width around its mean of the difference of two uniform lags. */
function spread(startUj: number, endUj: number, tail: number): number {
  const a = Math.max(startUj, endUj);
  const b = Math.min(startUj, endUj);
  return b < tail * a ? ((1 - tail) * a) / 2 : (a + b) / 2 - Math.sqrt(tail * a * b);
}
