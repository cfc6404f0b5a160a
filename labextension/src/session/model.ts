/**
 * What a session is to its readers. The names are those of `jupyter_green.sessions.model`, and
 * mean the same; `tests/golden/README.md` tells what every reader of a journal must make of it.
 *
 * Energies are whole microjoules, and sums of them stay far below 2**53.
 */

import type {
  CounterInfo,
  DeviceState,
  Intensity,
  Machine,
  ModelDescribed,
  Pricing,
  Refusal,
  Tags
} from './vocabulary';

export interface Energy {
  /** By counter, details included. */
  uj: Record<string, number>;
  /** Null: nothing could be read. */
  total_uj: number | null;
  lag_uj: number;
  /** Half-width of the stated interval. */
  bound_uj: number;
  /** Not empty: the total is a lower bound. */
  missing: string[];
  provenance: string[];
  /** By index into `periods`. */
  by_period: Record<number, number>;
}

export interface OpenCell {
  number: number;
  cell: string;
  first_line: string;
  execution_count: number | null;
  tags: Tags;
  thread: string;
  parent: number | null;
  started_s: number;
  so_far: Energy;
  suggested_stage: string | null;
}

export interface Cell {
  number: number;
  cell: string;
  first_line: string;
  source: string | null;
  execution_count: number | null;
  tags: Tags;
  thread: string;
  parent: number | null;
  started_s: number;
  finished_s: number;
  status: string;
  error: string | null;
  energy: Energy;
  tree_share: number | null;
  devices: string[];
  devices_busy: string[];
  devices_shared: string[];
  device_shares: Record<string, number>;
  suggested_stage: string | null;
}

export interface Span {
  span: number;
  name: string;
  type: string;
  parent: number | null;
  cell: number | null;
  tags: Tags;
  started_s: number;
  finished_s: number;
  status: string;
  error: string | null;
  energy: Energy;
}

export interface Metric {
  name: string;
  /** May be infinite or NaN. */
  value: number;
  step: number | null;
  run: string | null;
  direction: string | null;
  source: string;
  cell: number | null;
  logged_s: number;
  session_uj: number | null;
  cell_uj: number | null;
}

export interface Hole {
  counter: string;
  since_s: number;
  until_s: number | null;
  reason: string;
  remedy: string;
  lost: boolean;
}

export interface Gap {
  since_s: number;
  until_s: number;
  reason: string;
}

export interface Overlap {
  session: string;
  pid: number;
  notebook: string | null;
  seen_s: number;
}

export interface Baseline {
  measured_s: number;
  duration_s: number;
  power_w: Record<string, number>;
  /** Share of the processors' time in which somebody else worked meanwhile. */
  busy: number | null;
}

export interface Period {
  since_s: number;
  intensity: Intensity | null;
  pricing: Pricing;
  /** Why the intensity changed; empty where it did not, or nobody said. */
  reason: string;
}

/** What the session may use. */
export interface Budget {
  budget_uj: number;
  /** The cell that runs when it is used up is interrupted. */
  stop: boolean;
  set_s: number;
}

export interface Entry {
  uj: Record<string, number>;
  total_uj: number;
  seconds: number;
  by_period: Record<number, number>;
}

export const ENTRIES = [
  'productive',
  'superseded',
  'failed',
  'running',
  'between cells',
  'paused',
  'holes'
] as const;

export type EntryName = (typeof ENTRIES)[number];
export type Category = 'productive' | 'superseded' | 'failed';

export interface Ledger {
  entries: Record<EntryName, Entry>;
  category_of: ReadonlyMap<number, Category>;
}

/** All stamps as columns, oldest first; a reading that is missing is null. Read-only views. */
export interface Trace {
  t: readonly number[];
  uj: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface Session {
  id: string;
  format: string;
  version: string;
  /** open, closed, or ended without goodbye. */
  state: string;
  reason: string | null;
  started_wall_s: number;
  ended_wall_s: number;
  duration_s: number;
  host: string;
  boot_id: string;
  pid: number;
  process_started: number;
  front_end: string;
  notebook: string | null;
  project: string | null;
  machine: Machine;
  counters: Record<string, CounterInfo>;
  refused: Refusal[];
  cells: readonly Cell[];
  open_cells: OpenCell[];
  spans: readonly Span[];
  metrics: readonly Metric[];
  models: readonly ModelDescribed[];
  baselines: readonly Baseline[];
  total: Energy;
  ledger: Ledger;
  periods: readonly Period[];
  holes: readonly Hole[];
  gaps: readonly Gap[];
  overlaps: readonly Overlap[];
  suspends: readonly (readonly [number, number])[];
  paused: boolean;
  devices: Record<string, DeviceState>;
  devices_s: number;
  power_w: number | null;
  trace: Trace;
  bad_lines: number;
  unknown_events: number;
  samples_dropped: number;
  problems: readonly string[];
  budget: Budget | null;
}
