/** All stamps of a session as columns, while they grow, and the power that follows from them. */

import type { Trace } from './model';

/** The live power is the mean over the stamps of the last two seconds. */
const POWER_WINDOW_S = 2;

/** Stamps that lie closer make one interval: counters tick in steps, and a watt is a ratio. */
const SHORTEST_S = 0.2;

/** Time and cumulative microjoules by counter, stamp by stamp. */
export class TraceColumns {
  readonly #t: number[] = [];
  readonly #uj = new Map<string, (number | null)[]>();

  /**
   * One stamp. A stamp that comes after a later one is left out: columns are in order.
   *
   * @param counters all that have been read so far.
   */
  append(t: number, uj: ReadonlyMap<string, number>, counters: Iterable<string>): void {
    if (this.#t.length && t < this.#t.at(-1)!) {
      return;
    }
    for (const counter of counters) {
      let column = this.#uj.get(counter);
      if (!column) {
        column = this.#t.map(() => null);
        this.#uj.set(counter, column);
      }
      column.push(uj.get(counter) ?? null);
    }
    this.#t.push(t);
  }

  /** The columns themselves: they grow on. */
  view(): Trace {
    return { t: this.#t, uj: Object.fromEntries(this.#uj) };
  }

  /** Watts of the counters over the last stamps, or null where too little is known. */
  powerW(counts: (counter: string) => boolean): number | null {
    const last = this.#t.length - 1;
    if (last < 1) {
      return null;
    }
    let start = last - 1;
    while (start > 0 && this.#t[last]! - this.#t[start]! < POWER_WINDOW_S) {
      start--;
    }
    let total: number | null = null;
    for (const [counter, column] of this.#uj) {
      const powerW = counts(counter) ? this.#meanW(column, start) : null;
      total = powerW === null ? total : (total ?? 0) + powerW;
    }
    return total;
  }

  /** Mean watts of one counter from its first to its last reading; null where it has no two. */
  #meanW(column: readonly (number | null)[], start: number): number | null {
    let first = start;
    let last = column.length - 1;
    while (first < last && column[first] === null) {
      first++;
    }
    while (last > first && column[last] === null) {
      last--;
    }
    return meanW(this.#t[first]!, column[first]!, this.#t[last]!, column[last]!);
  }
}

function meanW(
  fromS: number,
  fromUj: number | null | undefined,
  untilS: number,
  untilUj: number | null | undefined
): number | null {
  const seconds = untilS - fromS;
  if (fromUj == null || untilUj == null || seconds <= 0) {
    return null;
  }
  return Math.max(0, untilUj - fromUj) / 1e6 / seconds;
}

/** Columns as a chart takes them: times, then one column of watts a counter. */
export type Watts = [t: number[], ...watts: (number | null)[][]];

/**
 * Mean watts of each counter since its reading before, at the time of the later one; null where
 * it was not read then, or never before.
 *
 * It keeps its place, so that a session that grows costs what has come, and a point that is there
 * never changes.
 */
export class WattColumns {
  readonly #columns: Watts;
  readonly #before: { t: number; uj: number | null }[];
  #next = 0;

  constructor(
    private readonly counters: readonly string[],
    private readonly shortestS = SHORTEST_S
  ) {
    this.#columns = [[], ...counters.map(() => [])];
    this.#before = counters.map(() => ({ t: 0, uj: null }));
  }

  /** Takes the stamps of the session's trace that have come since. */
  extend(trace: Trace): void {
    for (; this.#next < trace.t.length; this.#next++) {
      const t = trace.t[this.#next]!;
      if (this.#next === 0 || t - this.#reachedS() >= this.shortestS) {
        this.#point(trace, t);
      }
    }
  }

  /** The points from `sinceS` on. */
  since(sinceS: number): Watts {
    const from = firstFrom(this.#columns[0], sinceS);
    return this.#columns.map(column => column.slice(from)) as Watts;
  }

  #reachedS(): number {
    return this.#columns[0].at(-1)!;
  }

  #point(trace: Trace, t: number): void {
    const [times, ...watts] = this.#columns;
    times.push(t);
    this.counters.forEach((counter, index) => {
      const before = this.#before[index]!;
      const uj = trace.uj[counter]?.[this.#next] ?? null;
      watts[index]!.push(meanW(before.t, before.uj, t, uj));
      if (uj !== null) {
        this.#before[index] = { t, uj };
      }
    });
  }
}

/** Index of the first time that is not before `t`. */
function firstFrom(times: readonly number[], t: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < t) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** The watts of a trace from `sinceS` on, at once: see {@link WattColumns}. */
export function traceWatts(
  trace: Trace,
  counters: readonly string[],
  sinceS = -Infinity,
  shortestS = SHORTEST_S
): Watts {
  const columns = new WattColumns(counters, shortestS);
  columns.extend(trace);
  return columns.since(sinceS);
}
