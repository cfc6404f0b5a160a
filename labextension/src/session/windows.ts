/** Windows on the stream: what the fold needs of them while they are open, and their end. */

import { lagBoundUj, sum, type Errors } from './bound';
import type { Cell, Energy, Span } from './model';
import type {
  CellFinished,
  CellStarted,
  CounterInfo,
  SpanFinished,
  SpanStarted
} from './vocabulary';

/** Microjoules by counter. Names come from outside: maps take any. */
export type ByCounter = ReadonlyMap<string, number>;
export type Counters = ReadonlyMap<string, CounterInfo>;

/** Adds to a number in a map; what has come to nothing is left out. */
export function bump<K>(map: Map<K, number>, key: K, by: number): void {
  const value = (map.get(key) ?? 0) + by;
  if (value) {
    map.set(key, value);
  } else {
    map.delete(key);
  }
}

/** Energy that one owner of the time line has gathered. Whole microjoules only. */
export class Account {
  readonly uj = new Map<string, number>();
  readonly byPeriod = new Map<number, number>();
  seconds = 0;

  /** Adds another account to this one, or takes it away again. */
  absorb(other: Account, sign: 1 | -1 = 1): void {
    other.uj.forEach((energyUj, counter) => bump(this.uj, counter, sign * energyUj));
    other.byPeriod.forEach((energyUj, period) => bump(this.byPeriod, period, sign * energyUj));
    // Seconds are no integers: what is left of a difference can lie below zero by a rounding.
    this.seconds = Math.max(0, this.seconds + sign * other.seconds);
  }
}

/** An open cell or span: what the counters said when it began. */
export class Window<Began extends CellStarted | SpanStarted = CellStarted | SpanStarted> {
  constructor(
    readonly began: Began,
    /** By counter that was read at the start: its highest value so far. */
    private readonly atStart: ByCounter,
    /** Index of the period in which it began. */
    private readonly period: number,
    readonly missing: Set<string>,
    /** Set for the cell that owns the time line; other windows are plain differences. */
    readonly account: Account | null
  ) {}

  flag(counters: Iterable<string>): void {
    for (const counter of counters) {
      this.missing.add(counter);
    }
  }

  /** Microjoules since the start, for the counters that were read then and since. */
  differences(now: ByCounter): Map<string, number> {
    const differences = new Map<string, number>();
    for (const [counter, uj] of this.atStart) {
      differences.set(counter, this.account ? 0 : now.get(counter)! - uj);
    }
    this.account?.uj.forEach((uj, counter) => differences.set(counter, uj));
    return differences;
  }

  /**
   * Counted microjoules since the start, split by carbon intensity.
   *
   * `periods` holds what the counters said at the beginning of each period.
   */
  byPeriod(
    now: ByCounter,
    counters: Counters,
    periods: readonly ByCounter[]
  ): Map<number, number> {
    if (this.account) {
      return new Map(this.account.byPeriod);
    }
    const split = new Map<number, number>();
    for (const [counter, startUj] of this.atStart) {
      if (!counters.get(counter)!.counted) {
        continue;
      }
      let uj = startUj;
      for (let period = this.period; period < periods.length; period++) {
        // A counter that was first read later has no energy up to `end`.
        const endUj = Math.max(uj, (periods[period + 1] ?? now).get(counter) ?? uj);
        bump(split, period, endUj - uj);
        uj = endUj;
      }
    }
    return split;
  }
}

/** The energy of a counter that is part of the total. */
interface Counted {
  readonly info: CounterInfo;
  readonly energyUj: number;
}

/**
 * Puts total, bound and provenance on the energy of a window.
 *
 * A missing counter of which nothing has been read is left out: zero would be a measurement.
 */
export function energyOf(
  uj: ByCounter,
  counters: Counters,
  missing: ReadonlySet<string>,
  atStart: Errors,
  atEnd: Errors,
  byPeriod: ReadonlyMap<number, number>
): Energy {
  const read: [string, number][] = [];
  const counted: Counted[] = [];
  for (const [name, energyUj] of uj) {
    if (energyUj || !missing.has(name)) {
      read.push([name, energyUj]);
      const info = counters.get(name);
      if (info?.counted) {
        counted.push({ info, energyUj });
      }
    }
  }
  const lagUj = lagBoundUj(counted, atStart, atEnd);
  return {
    uj: Object.fromEntries(read),
    total_uj: counted.length ? sum(counted.map(({ energyUj }) => energyUj)) : null,
    lag_uj: lagUj,
    bound_uj: lagUj + sum(counted.map(({ info, energyUj }) => info.band * energyUj)),
    missing: [...missing].filter(name => counters.get(name)?.counted).sort(),
    provenance: provenanceOf(counted),
    by_period: Object.fromEntries(byPeriod)
  };
}

/** A device that nobody uses stands beside the total, and says nothing about it. */
function provenanceOf(counted: readonly Counted[]): string[] {
  const told = counted.filter(({ info, energyUj }) => energyUj || info.scope !== 'device');
  const provenances = (told.length ? told : counted).map(({ info }) => info.provenance);
  return [...new Set(provenances)].sort();
}

/** What an end tells of a cell, beside its stamp. A cell that no line ended has the status alone. */
export type CellEnd = Pick<CellFinished, 't' | 'status'> & Partial<CellFinished>;
export type SpanEnd = Pick<SpanFinished, 't' | 'status'> & Partial<SpanFinished>;

/** What readers see of a cell that has ended. */
export function finishedCell(began: CellStarted, end: CellEnd, energy: Energy): Cell {
  return {
    number: began.number,
    cell: began.cell,
    first_line: began.first_line,
    source: began.source,
    execution_count: began.execution_count,
    tags: began.tags,
    thread: began.thread,
    parent: began.parent,
    started_s: began.t,
    finished_s: Math.max(began.t, end.t),
    status: end.status,
    error: end.error ?? null,
    energy,
    tree_share: end.tree_share ?? null,
    devices: end.devices ?? [],
    devices_busy: end.devices_busy ?? [],
    devices_shared: end.devices_shared ?? [],
    device_shares: end.device_shares ?? {},
    suggested_stage: began.suggested_stage
  };
}

/** What readers see of a span that has ended. */
export function finishedSpan(began: SpanStarted, end: SpanEnd, energy: Energy): Span {
  return {
    span: began.span,
    name: began.name,
    type: began.type,
    parent: began.parent,
    cell: began.cell,
    tags: began.tags,
    started_s: began.t,
    finished_s: Math.max(began.t, end.t),
    status: end.status,
    error: end.error ?? null,
    energy
  };
}
