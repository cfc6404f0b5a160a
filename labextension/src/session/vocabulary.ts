/**
 * The vocabulary of events, and what an event may hold. Made by make-types.mjs from
 * jupyter_green/data/events.schema.json: change that, and run `jlpm types`.
 *
 * A journal leaves out what has its usual value. The types are those of events that have been
 * read: every field is there (see read.ts).
 */

export type AnyEvent =
  | SessionStarted
  | CellStarted
  | CellFinished
  | SpanStarted
  | SpanFinished
  | MetricLogged
  | ModelDescribed
  | PowerSampled
  | IntensityChanged
  | PricingChanged
  | BudgetSet
  | BaselineMeasured
  | TrackingPaused
  | TrackingResumed
  | OverlapSeen
  | CounterLost
  | CounterRestored
  | CounterNoted
  | RecorderRestarted
  | ClockAnchored
  | JournalThinned
  | SessionEnded;

/**
 * The first line of every journal.
 */
export interface SessionStarted {
  boot_id: string;
  counters: CounterInfo[];
  error_uj: {
    [k: string]: [number, number];
  };
  format: string;
  front_end: string;
  host: string;
  intensity: Intensity | null;
  kind: 'session_started';
  machine: Machine;
  n: number | null;
  notebook: string | null;
  pid: number;
  pricing: Pricing;
  process_started: number;
  project: string | null;
  refused: Refusal[];
  session: string;
  t: number;
  uj: {
    [k: string]: number;
  };
  version: string;
  wall_s: number;
}
/**
 * What is known about one monotonic energy counter.
 */
export interface CounterInfo {
  accuracy: string;
  assumption: string;
  band: number;
  centred: boolean;
  clock: string;
  counted: boolean;
  device: string;
  domain: string;
  max_power_w: number | null;
  name: string;
  part_of: string | null;
  provenance: string;
  quantum_uj: number;
  range_uj: number | null;
  resolution_s: number;
  scope: string;
  source: string;
}
/**
 * A carbon intensity with its provenance. Bases must never be mixed in one total.
 */
export interface Intensity {
  basis: string;
  estimated: boolean;
  g_per_kwh: number;
  place: string;
  source: string;
  year: number | null;
}
/**
 * The machine in words, for the report.
 */
export interface Machine {
  cores: number;
  cpu: string;
  memory_bytes: number;
  python: string;
  system: string;
  virtual: string;
}
/**
 * What turns energy into CO2 and cost, beside the intensity.
 */
export interface Pricing {
  currency: string;
  price_per_kwh: number | null;
  pue: number;
}
/**
 * Why a source, or one of its counters, is not used.
 */
export interface Refusal {
  by_choice: boolean;
  counter: string | null;
  reason: string;
  remedy: string;
  source: string;
}
/**
 * A cell begins to run.
 */
export interface CellStarted {
  cell: string;
  error_uj: {
    [k: string]: [number, number];
  };
  execution_count: number | null;
  first_line: string;
  identified_by: string;
  kind: 'cell_started';
  n: number | null;
  number: number;
  parent: number | null;
  source: string | null;
  source_hash: string;
  suggested_stage: string | null;
  t: number;
  tags: Tags;
  thread: string;
  uj: {
    [k: string]: number;
  };
}
/**
 * What the user says a cell or span is.
 */
export interface Tags {
  deliberate: boolean;
  label: string | null;
  stage: string | null;
  technique: string | null;
}
/**
 * A cell ended, or its kernel did.
 */
export interface CellFinished {
  device_shares: {
    [k: string]: number;
  };
  devices: string[];
  devices_busy: string[];
  devices_shared: string[];
  error: string | null;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'cell_finished';
  n: number | null;
  number: number;
  status: string;
  t: number;
  tree_share: number | null;
  uj: {
    [k: string]: number;
  };
}
/**
 * A named window inside or across cells begins; shown, never added.
 */
export interface SpanStarted {
  cell: number | null;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'span_started';
  n: number | null;
  name: string;
  parent: number | null;
  span: number;
  t: number;
  tags: Tags1;
  thread: string;
  type: string;
  uj: {
    [k: string]: number;
  };
}
/**
 * What the user says a cell or span is.
 */
export interface Tags1 {
  deliberate: boolean;
  label: string | null;
  stage: string | null;
  technique: string | null;
}
/**
 * A named window ends.
 */
export interface SpanFinished {
  error: string | null;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'span_finished';
  n: number | null;
  span: number;
  status: string;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * A quality of the result, beside the energy it has cost so far.
 */
export interface MetricLogged {
  cell: number | null;
  direction: string | null;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'metric_logged';
  n: number | null;
  name: string;
  run: string | null;
  source: string;
  step: number | null;
  t: number;
  text: string | null;
  uj: {
    [k: string]: number;
  };
  value: number | null;
}
/**
 * The size of the model that a run trains or uses.
 */
export interface ModelDescribed {
  cell: number | null;
  error_uj: {
    [k: string]: [number, number];
  };
  flops: number | null;
  kind: 'model_described';
  n: number | null;
  name: string | null;
  parameters: number | null;
  precision: string | null;
  run: string | null;
  size_bytes: number | null;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * A sample between boundaries, for the power line.
 */
export interface PowerSampled {
  cpu_utilisation: number | null;
  devices: {
    [k: string]: DeviceState;
  };
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'power_sampled';
  n: number | null;
  running: boolean;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * What a device is doing at a sample. Shares are of one.
 */
export interface DeviceState {
  memory_bytes: number | null;
  memory_total_bytes: number | null;
  power_w: number | null;
  processes: DeviceProcess[] | null;
  temperature_c: number | null;
  utilisation: number | null;
}
/**
 * A process with a context on a device.
 */
export interface DeviceProcess {
  memory_bytes: number | null;
  pid: number;
  utilisation: number | null;
  whose: string;
}
/**
 * From now on another carbon intensity is in force.
 */
export interface IntensityChanged {
  error_uj: {
    [k: string]: [number, number];
  };
  intensity: Intensity | null;
  kind: 'intensity_changed';
  n: number | null;
  reason: string;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * From now on another PUE or price is in force.
 */
export interface PricingChanged {
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'pricing_changed';
  n: number | null;
  pricing: Pricing1;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * What turns energy into CO2 and cost, beside the intensity.
 */
export interface Pricing1 {
  currency: string;
  price_per_kwh: number | null;
  pue: number;
}
/**
 * The user says what the session may use.
 */
export interface BudgetSet {
  budget_uj: number | null;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'budget_set';
  n: number | null;
  stop: boolean;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * The power of the idle machine, measured on request.
 */
export interface BaselineMeasured {
  busy: number | null;
  duration_s: number;
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'baseline_measured';
  n: number | null;
  power_w: {
    [k: string]: number;
  };
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * Tracking was switched off.
 */
export interface TrackingPaused {
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'tracking_paused';
  n: number | null;
  reason: string;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * Tracking was switched on again.
 */
export interface TrackingResumed {
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'tracking_resumed';
  n: number | null;
  t: number;
  uj: {
    [k: string]: number;
  };
}
/**
 * Another session reads the same counters at the same time.
 */
export interface OverlapSeen {
  kind: 'overlap_seen';
  n: number | null;
  notebook: string | null;
  pid: number;
  session: string;
  t: number;
}
/**
 * A counter cannot be read, or stands still: from ``since`` on its energy is unknown.
 */
export interface CounterLost {
  counter: string;
  kind: 'counter_lost';
  n: number | null;
  reason: string;
  remedy: string;
  since: number;
  t: number;
}
/**
 * A counter is back.
 */
export interface CounterRestored {
  counter: string;
  kind: 'counter_restored';
  lost: boolean;
  n: number | null;
  offset_uj: number;
  reason: string;
  since: number;
  t: number;
}
/**
 * Something that a reader of this counter's figures should know; nothing is lost.
 */
export interface CounterNoted {
  counter: string;
  kind: 'counter_noted';
  n: number | null;
  note: string;
  remedy: string;
  t: number;
}
/**
 * The recorder died and another took over; no samples were taken since ``since``.
 */
export interface RecorderRestarted {
  kind: 'recorder_restarted';
  n: number | null;
  reason: string;
  since: number;
  t: number;
}
/**
 * Ties monotonic to wall time, because monotonic time stops in suspend.
 */
export interface ClockAnchored {
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'clock_anchored';
  n: number | null;
  suspended_s: number;
  t: number;
  uj: {
    [k: string]: number;
  };
  wall_s: number;
}
/**
 * The disk was too slow or full for too long: power samples had to be dropped.
 */
export interface JournalThinned {
  dropped: number;
  kind: 'journal_thinned';
  n: number | null;
  reason: string;
  since: number;
  t: number;
}
/**
 * The last event of a session.
 */
export interface SessionEnded {
  error_uj: {
    [k: string]: [number, number];
  };
  kind: 'session_ended';
  n: number | null;
  reason: string;
  t: number;
  uj: {
    [k: string]: number;
  };
}

/** The version of the journal's format that this vocabulary is of. */
export const FORMAT = '1.0';

/** By name the type of a field in short form and, where it may be left out, its default. */
export type Fields = Record<string, readonly [type: string, usual?: unknown]>;

const STAMP: Fields = {
  t: ['number'],
  n: ['integer?', null],
  uj: ['{microjoules}', {}],
  error_uj: ['{lag}', {}]
};
const EVENT: Fields = { t: ['number'], n: ['integer?', null] };

/** The fields of each kind of event. */
export const EVENTS: Record<string, Fields> = {
  baseline_measured: {
    ...STAMP,
    busy: ['number?', null],
    duration_s: ['number'],
    power_w: ['{number}', {}]
  },
  budget_set: { ...STAMP, budget_uj: ['microjoules?', null], stop: ['boolean', false] },
  cell_finished: {
    ...STAMP,
    device_shares: ['{number}', {}],
    devices: ['[string]', []],
    devices_busy: ['[string]', []],
    devices_shared: ['[string]', []],
    error: ['string?', null],
    number: ['integer'],
    status: ['string'],
    tree_share: ['number?', null]
  },
  cell_started: {
    ...STAMP,
    cell: ['string'],
    execution_count: ['integer?', null],
    first_line: ['string', ''],
    identified_by: ['string', 'source'],
    number: ['integer'],
    parent: ['integer?', null],
    source: ['string?', null],
    source_hash: ['string', ''],
    suggested_stage: ['string?', null],
    tags: ['Tags', {}],
    thread: ['string', 'main']
  },
  clock_anchored: { ...STAMP, suspended_s: ['number', 0], wall_s: ['number'] },
  counter_lost: {
    ...EVENT,
    counter: ['string'],
    reason: ['string'],
    remedy: ['string', ''],
    since: ['number']
  },
  counter_noted: { ...EVENT, counter: ['string'], note: ['string'], remedy: ['string', ''] },
  counter_restored: {
    ...EVENT,
    counter: ['string'],
    lost: ['boolean', false],
    offset_uj: ['integer', 0],
    reason: ['string', ''],
    since: ['number']
  },
  intensity_changed: { ...STAMP, intensity: ['Intensity?', null], reason: ['string', ''] },
  journal_thinned: {
    ...EVENT,
    dropped: ['integer'],
    reason: ['string', ''],
    since: ['number']
  },
  metric_logged: {
    ...STAMP,
    cell: ['integer?', null],
    direction: ['string?', null],
    name: ['string'],
    run: ['string?', null],
    source: ['string', 'user'],
    step: ['number?', null],
    text: ['string?', null],
    value: ['number?', null]
  },
  model_described: {
    ...STAMP,
    cell: ['integer?', null],
    flops: ['integer?', null],
    name: ['string?', null],
    parameters: ['integer?', null],
    precision: ['string?', null],
    run: ['string?', null],
    size_bytes: ['integer?', null]
  },
  overlap_seen: {
    ...EVENT,
    notebook: ['string?', null],
    pid: ['integer'],
    session: ['string']
  },
  power_sampled: {
    ...STAMP,
    cpu_utilisation: ['number?', null],
    devices: ['{DeviceState}', {}],
    running: ['boolean', false]
  },
  pricing_changed: { ...STAMP, pricing: ['Pricing', {}] },
  recorder_restarted: { ...EVENT, reason: ['string', ''], since: ['number'] },
  session_ended: { ...STAMP, reason: ['string', 'goodbye'] },
  session_started: {
    ...STAMP,
    boot_id: ['string'],
    counters: ['[CounterInfo]', []],
    format: ['string'],
    front_end: ['string', ''],
    host: ['string'],
    intensity: ['Intensity?', null],
    machine: ['Machine', {}],
    notebook: ['string?', null],
    pid: ['integer'],
    pricing: ['Pricing', {}],
    process_started: ['number'],
    project: ['string?', null],
    refused: ['[Refusal]', []],
    session: ['string'],
    version: ['string'],
    wall_s: ['number']
  },
  span_finished: {
    ...STAMP,
    error: ['string?', null],
    span: ['integer'],
    status: ['string', 'ok']
  },
  span_started: {
    ...STAMP,
    cell: ['integer?', null],
    name: ['string'],
    parent: ['integer?', null],
    span: ['integer'],
    tags: ['Tags', {}],
    thread: ['string', 'main'],
    type: ['string', 'measure']
  },
  tracking_paused: { ...STAMP, reason: ['string', ''] },
  tracking_resumed: { ...STAMP }
};

/** The fields of the values inside events. */
export const VALUES: Record<string, Fields> = {
  CounterInfo: {
    accuracy: ['string', ''],
    assumption: ['string', ''],
    band: ['number', 0],
    centred: ['boolean', false],
    clock: ['string', ''],
    counted: ['boolean', true],
    device: ['string', ''],
    domain: ['string'],
    max_power_w: ['number?', null],
    name: ['string'],
    part_of: ['string?', null],
    provenance: ['string'],
    quantum_uj: ['number', 1],
    range_uj: ['integer?', null],
    resolution_s: ['number'],
    scope: ['string', 'machine'],
    source: ['string']
  },
  DeviceProcess: {
    memory_bytes: ['integer?', null],
    pid: ['integer'],
    utilisation: ['number?', null],
    whose: ['string']
  },
  DeviceState: {
    memory_bytes: ['integer?', null],
    memory_total_bytes: ['integer?', null],
    power_w: ['number?', null],
    processes: ['[DeviceProcess]?', []],
    temperature_c: ['number?', null],
    utilisation: ['number?', null]
  },
  Intensity: {
    basis: ['string', 'lifecycle'],
    estimated: ['boolean', false],
    g_per_kwh: ['number'],
    place: ['string'],
    source: ['string', ''],
    year: ['integer?', null]
  },
  Machine: {
    cores: ['integer', 0],
    cpu: ['string', ''],
    memory_bytes: ['integer', 0],
    python: ['string', ''],
    system: ['string', ''],
    virtual: ['string', '']
  },
  Pricing: {
    currency: ['string', 'EUR'],
    price_per_kwh: ['number?', null],
    pue: ['number', 1]
  },
  Refusal: {
    by_choice: ['boolean', false],
    counter: ['string?', null],
    reason: ['string'],
    remedy: ['string', ''],
    source: ['string']
  },
  Tags: {
    deliberate: ['boolean', false],
    label: ['string?', null],
    stage: ['string?', null],
    technique: ['string?', null]
  }
};
