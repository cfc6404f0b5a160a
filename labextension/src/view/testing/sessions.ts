/** Parts of a session, for the tests of the view. */

import { Fold } from '../../session/fold';
import type { Cell, Energy, Metric, OpenCell, Session } from '../../session/model';
import type { Tags } from '../../session/vocabulary';
import type { Translate } from '../words';

/** As Jupyter's translator does it for English. */
export const english: Translate = (text, ...args) =>
  text.replace(/%(\d)/g, (_, position) => String(args[Number(position) - 1]));

export function energy(total_uj: number | null, more: Partial<Energy> = {}): Energy {
  return {
    uj: {},
    total_uj,
    lag_uj: 0,
    bound_uj: 0,
    missing: [],
    provenance: ['measured'],
    by_period: {},
    ...more
  };
}

const NO_TAGS: Tags = { deliberate: false, label: null, stage: null, technique: null };

export function cell(number: number, more: Partial<Cell> = {}): Cell {
  return {
    number,
    cell: `cell-${number}`,
    first_line: `line ${number}`,
    source: null,
    execution_count: number,
    tags: NO_TAGS,
    thread: 'main',
    parent: null,
    started_s: number,
    finished_s: number + 0.5,
    status: 'ok',
    error: null,
    energy: energy(number * 1e6),
    tree_share: null,
    devices: [],
    devices_busy: [],
    devices_shared: [],
    device_shares: {},
    suggested_stage: null,
    ...more
  };
}

export function openCell(number: number, total_uj: number, more: Partial<Cell> = {}): OpenCell {
  const {
    cell: identity,
    first_line,
    execution_count,
    tags,
    thread,
    parent,
    started_s,
    suggested_stage
  } = cell(number, more);
  const so_far = energy(total_uj);
  return {
    number,
    cell: identity,
    first_line,
    execution_count,
    tags,
    thread,
    parent,
    started_s,
    suggested_stage,
    so_far
  };
}

export function metric(
  value: number,
  session_uj: number | null,
  more: Partial<Metric> = {}
): Metric {
  return {
    name: 'acc',
    value,
    step: null,
    run: 'r',
    direction: 'higher',
    source: 'user',
    cell: 1,
    logged_s: 0,
    session_uj,
    cell_uj: session_uj,
    ...more
  };
}

const RAPL = { source: 'rapl', provenance: 'measured', resolution_s: 0.001 };

/** The first line of a journal with one package, and what follows it. */
export function session(events: readonly object[] = [], header: object = {}): Session {
  const fold = new Fold();
  fold.feed({
    kind: 'session_started',
    t: 0,
    uj: { 'package-0': 0 },
    format: '1.0',
    session: 's',
    version: '0',
    wall_s: 1.7e9,
    host: 'h',
    boot_id: 'b',
    pid: 1,
    process_started: 1,
    counters: [{ name: 'package-0', domain: 'package', ...RAPL }],
    ...header
  });
  events.forEach(event => fold.feed(event));
  return fold.session();
}
