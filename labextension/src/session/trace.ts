/** All stamps of a session as columns, while they grow, and the power at their end. */

import type { Trace } from './model';

/** The live power is the mean over the stamps of the last two seconds. */
const POWER_WINDOW_S = 2;

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
