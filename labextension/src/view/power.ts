/** The power line's data: mean watts between stamps, stacked by source. Nothing is interpolated. */

import { ownsTime } from '../session/figures';
import type { Session, Trace } from '../session/model';

/** Counters that are shown as one: the packages together, the DRAM, each GPU. */
export interface Source {
  key: string;
  counters: string[];
}

export interface Series {
  /** Ends of the stretches, in seconds since the session's start; the first is a beginning. */
  t: number[];
  /** By source, stacked: its own watts and those below it; null where nothing is known. */
  stacked: (number | null)[][];
  /** By source: watts of its own in the last stretch that is known. */
  last: (number | null)[];
  highest: number;
}

/** Over less, the counters' own ticks would show. */
const SHORTEST_S = 0.25;
const MOST_POINTS = 300;

const BY_DOMAIN: Record<string, string> = { package: 'cpu', cpu: 'cpu', dram: 'dram' };

/** The counted counters by source, from the bottom of the stack; devices only where used. */
export function sourcesOf(session: Session): Source[] {
  const sources = new Map<string, string[]>();
  for (const key of ['cpu', 'dram']) {
    sources.set(key, []);
  }
  for (const [name, info] of Object.entries(session.counters)) {
    if (info.counted && (info.scope !== 'device' || session.total.uj[name])) {
      const key = BY_DOMAIN[info.domain] ?? name;
      sources.set(key, [...(sources.get(key) ?? []), name]);
    }
  }
  return [...sources]
    .filter(([, counters]) => counters.length > 0)
    .map(([key, counters]) => ({ key, counters }));
}

/**
 * Mean watts between stamps that lie about `step_s` apart: at the first stamp of each step of the
 * session's time, so that what was drawn does not change when the window moves on.
 */
export function powerSeries(
  trace: Trace,
  sources: readonly Source[],
  since_s: number,
  step_s: number
): Series {
  const series: Series = {
    t: [],
    stacked: sources.map(() => []),
    last: sources.map(() => null),
    highest: 0
  };
  const columns = sources.map(({ counters }) => counters.map(name => trace.uj[name] ?? []));
  const end = trace.t.length - 1;
  let before = firstAfter(trace.t, since_s - (since_s % step_s));
  for (let at = before; at <= end; at++) {
    const seconds = trace.t[at] - trace.t[before];
    const next = Math.floor(trace.t[at] / step_s) > Math.floor(trace.t[before] / step_s);
    if (at === before) {
      append(
        series,
        trace.t[at],
        sources.map(() => null)
      );
    } else if ((next || at === end) && seconds >= Math.min(SHORTEST_S, step_s / 2)) {
      const watts = columns.map(own => sum(own.map(uj => mean(uj[before], uj[at], seconds))));
      append(series, trace.t[at], watts);
      before = at;
    }
  }
  return series;
}

/** The step for a span of time: one of few, so that a span that grows seldom gets another. */
export function stepFor(span_s: number): number {
  return SHORTEST_S * 2 ** Math.max(0, Math.ceil(Math.log2(span_s / MOST_POINTS / SHORTEST_S)));
}

function append(series: Series, t: number, watts: readonly (number | null)[]): void {
  series.t.push(t);
  const known = watts.some(own => own !== null);
  let top = 0;
  watts.forEach((own, index) => {
    top += own ?? 0;
    series.stacked[index].push(known ? top : null);
    series.last[index] = own ?? series.last[index];
  });
  series.highest = Math.max(series.highest, top);
}

type Reading = number | null | undefined;

function mean(before: Reading, after: Reading, seconds: number): number | null {
  const known = typeof before === 'number' && typeof after === 'number';
  return known ? Math.max(0, after - before) / 1e6 / seconds : null;
}

function sum(values: readonly (number | null)[]): number | null {
  return values.reduce((all, value) => (value === null ? all : (all ?? 0) + value), null);
}

/** Index of the first stamp at or after a time; the last one if there is none. */
function firstAfter(times: readonly number[], t: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < t) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return Math.max(0, low);
}

/** When no cell of the main shell ran, between two times; what is shorter than `step_s` is not told. */
export function idleStretches(
  session: Session,
  since_s: number,
  until_s: number,
  step_s: number
): [number, number][] {
  const busy: [number, number][] = session.open_cells
    .filter(ownsTime)
    .map(cell => [cell.started_s, until_s]);
  for (let index = session.cells.length - 1; index >= 0; index--) {
    const cell = session.cells[index];
    if (cell.finished_s < since_s) {
      break;
    }
    if (ownsTime(cell)) {
      busy.push([cell.started_s, cell.finished_s]);
    }
  }
  return between(busy.reverse(), since_s, until_s).filter(([a, b]) => b - a > step_s);
}

function between(
  busy: readonly (readonly [number, number])[],
  since_s: number,
  until_s: number
): [number, number][] {
  const idle: [number, number][] = [];
  let free = since_s;
  for (const [start, end] of busy) {
    idle.push([free, Math.min(start, until_s)]);
    free = Math.max(free, end);
  }
  idle.push([free, until_s]);
  return idle;
}

/** More labels have no room on a line. */
const MOST_TIMES = 100;

/**
 * The round times of a stretch, a step apart. They are counted and not added up: beside the time of
 * a damaged journal a step may be nothing.
 */
export function roundTimes(since_s: number, until_s: number, step_s: number): number[] {
  const first = Math.ceil(since_s / step_s);
  const count = Math.min(MOST_TIMES, Math.floor(until_s / step_s) - first + 1);
  return Array.from(
    { length: Math.max(0, count) || 0 },
    (_, index) => (first + index) * step_s
  );
}
