/**
 * The fold: a stream of events in, a session out. The twin of `jupyter_green/sessions/fold.py`.
 *
 * The ledger is a partition of the time line. At every moment exactly one owner has the energy: the
 * outermost cell of the main shell, the pause, or the time between cells. Each reading of a counter
 * gives the energy since the reading before to the owner; where a boundary without a reading lies
 * in between, nobody can say whose it is, and it goes to the holes. All sums are of integers, so
 * that per counter the owners add up to the session's total exactly, whatever the events are.
 *
 * The journals in `tests/golden` hold it (and any other reader) to what they mean.
 */

import type { Errors } from './bound';
import { ownsTime } from './figures';
import { NotAJournal, checkFormat, refuseNewer } from './format';
import { Books } from './ledger';
import type {
  Baseline,
  Budget,
  Cell,
  Energy,
  Gap,
  Hole,
  Metric,
  OpenCell,
  Overlap,
  Period,
  Session,
  Span
} from './model';
import { NotAnEvent, UnknownKind, read } from './read';
import { TraceColumns } from './trace';
import type * as Vocabulary from './vocabulary';
import {
  Window,
  bump,
  energyOf,
  finishedCell,
  finishedSpan,
  type Account,
  type ByCounter,
  type CellEnd,
  type Counters,
  type SpanEnd
} from './windows';

type AnyEvent = Vocabulary.AnyEvent;
type Handlers = { [Event in AnyEvent as Event['kind']]: (event: Event) => void };
type OpenWindow<Began extends Vocabulary.CellStarted | Vocabulary.SpanStarted> = Window<Began>;

/** A finished cell or span, and what its ends may lag by. */
interface Finished<Ended extends Cell | Span> {
  readonly ended: Ended[];
  readonly errors: [atStart: Errors, atEnd: Errors][];
}

/** The stamp of an event, with its readings by counter. */
interface Stamp {
  readonly t: number;
  readonly uj: ByCounter;
  readonly errors: Errors;
}

const NO_READINGS: ByCounter = new Map();
const NEWLINE = 10;
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Takes events one by one and knows the session at any time.
 *
 * Feeding costs the same however long the session is, and so does asking for the session.
 */
export class Fold {
  #header: Vocabulary.SessionStarted | null = null;
  /** Highest number of a kernel's mark so far: marks at or below it are doubles. */
  #marks = 0;
  #t = 0;
  #stamp: Stamp = { t: 0, uj: NO_READINGS, errors: {} };
  readonly #last = new Map<string, number>();
  readonly #lost = new Map<string, Vocabulary.CounterLost>();
  #paused = false;
  #suspendedS = 0;
  #end: Vocabulary.SessionEnded | null = null;
  readonly #openCells = new Map<number, OpenWindow<Vocabulary.CellStarted>>();
  readonly #openSpans = new Map<number, OpenWindow<Vocabulary.SpanStarted>>();
  #badLines = 0;
  #unknownEvents = 0;
  #counters: Counters = new Map();
  readonly #crossed = new Set<string>();
  readonly #books = new Books();
  #owner: Account = this.#books.between;
  #owning: Window | null = null;
  #countedUj = 0;
  readonly #periodStarts: ByCounter[] = [NO_READINGS];
  readonly #periods: Period[] = [];
  #firstErrors: Errors = {};
  #lastErrors: Errors = {};
  readonly #neverWhole = new Set<string>();
  readonly #cells: Finished<Cell> = { ended: [], errors: [] };
  readonly #spans: Finished<Span> = { ended: [], errors: [] };
  readonly #metrics: Metric[] = [];
  readonly #models: Vocabulary.ModelDescribed[] = [];
  readonly #baselines: Baseline[] = [];
  #budget: Budget | null = null;
  readonly #holes: Hole[] = [];
  readonly #gaps: Gap[] = [];
  readonly #overlaps: Overlap[] = [];
  #dropped = 0;
  #devices: Record<string, Vocabulary.DeviceState> = {};
  #devicesS = 0;
  readonly #problems: string[] = [];
  #wall = { t: 0, wallS: 0 };
  readonly #suspends: [number, number][] = [];
  readonly #trace = new TraceColumns();

  readonly #handlers: Handlers = {
    session_started: event => this.#sessionStarted(event),
    cell_started: event => this.#cellStarted(event),
    cell_finished: event => this.#finishCell(event.number, event),
    span_started: event => this.#spanStarted(event),
    span_finished: event => this.#finishSpan(event.span, event),
    metric_logged: event => this.#metricLogged(event),
    model_described: event => this.#models.push(event),
    intensity_changed: ({ t, intensity, reason }) =>
      this.#beginPeriod(t, { intensity, reason }),
    pricing_changed: ({ t, pricing }) => this.#beginPeriod(t, { pricing, reason: '' }),
    budget_set: event => this.#budgetSet(event),
    baseline_measured: event => this.#baselineMeasured(event),
    tracking_paused: () => this.#track(false),
    tracking_resumed: () => this.#track(true),
    overlap_seen: event => this.#overlapSeen(event),
    counter_lost: event => this.#counterLost(event),
    counter_restored: event => this.#counterRestored(event),
    counter_noted: event => this.#counterNoted(event),
    power_sampled: event => this.#powerSampled(event),
    recorder_restarted: event => this.#recorderRestarted(event),
    clock_anchored: event => this.#clockAnchored(event),
    journal_thinned: event => this.#journalThinned(event),
    session_ended: event => this.#sessionEnded(event)
  };

  /** A line has ended the session. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** The first line has been read: there is a session. */
  get begun(): boolean {
    return this.#header !== null;
  }

  // --- feeding ---

  /**
   * Whole lines of a journal. Lines that are no events are counted and skipped.
   *
   * @throws NewerFormat the journal has a newer major version of the format.
   */
  feedLines(text: string): void {
    for (const line of text.split('\n')) {
      if (line.trim()) {
        this.#feedLine(line);
      }
    }
  }

  /** The same, as bytes: a line that is no UTF-8 is no event. */
  feedBytes(data: Uint8Array): void {
    for (let start = 0; start < data.length;) {
      const newline = data.indexOf(NEWLINE, start);
      const end = newline < 0 ? data.length : newline;
      this.#feedEncoded(data.subarray(start, end));
      start = end + 1;
    }
  }

  #feedEncoded(line: Uint8Array): void {
    let text: string;
    try {
      text = UTF_8.decode(line);
    } catch {
      this.#badLines++;
      return;
    }
    this.feedLines(text);
  }

  #feedLine(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      this.#badLines++;
      return;
    }
    this.feed(value);
  }

  /**
   * One event, as a journal holds it. What is no event is counted and skipped, and so are doubles of
   * marks that were sent again. Before the first line nothing is known of the counters, so nothing
   * is taken.
   *
   * @throws NewerFormat it is the first event, of a newer major version of the format.
   */
  feed(value: unknown): void {
    let event: AnyEvent;
    try {
      event = read(value);
    } catch (error) {
      this.#count(error, value);
      return;
    }
    if ((this.#header || event.kind === 'session_started') && !this.#isDouble(event)) {
      this.#take(event);
    }
  }

  #count(error: unknown, value: unknown): void {
    if (error instanceof UnknownKind) {
      this.#unknownEvents++;
      return;
    }
    if (!(error instanceof NotAnEvent)) {
      throw error;
    }
    if (!this.#header) {
      refuseNewer(value);
    }
    this.#badLines++;
  }

  #isDouble({ n }: AnyEvent): boolean {
    if (n === null) {
      return false;
    }
    const double = n <= this.#marks;
    this.#marks = Math.max(n, this.#marks);
    return double;
  }

  #take(event: AnyEvent): void {
    const elapsed = event.t - this.#t;
    if (elapsed > 0) {
      this.#owner.seconds += elapsed;
      this.#t = event.t;
    }
    this.#stamp = stampOf(event);
    if (this.#header) {
      this.#readCounters();
    }
    (this.#handlers[event.kind] as (event: AnyEvent) => void)(event);
  }

  /**
   * Gives the energy since each counter's last reading to the owner.
   *
   * Counters that the first line does not name are passed over: nobody knows what they hold.
   */
  #readCounters(): void {
    const { t, uj, errors } = this.#stamp;
    if (!uj.size) {
      return;
    }
    for (const [counter, now] of uj) {
      const before = this.#last.get(counter);
      if (before === undefined) {
        if (this.#counters.has(counter)) {
          this.#last.set(counter, now);
        }
      } else if (now > before) {
        // A reading that was taken before the last one, and processed after it, takes nothing
        // back: sums are of the running maximum.
        this.#last.set(counter, now);
        this.#give(counter, now - before);
      }
      this.#crossed.delete(counter);
    }
    if (!isEmpty(errors)) {
      this.#firstErrors = isEmpty(this.#firstErrors) ? errors : this.#firstErrors;
      this.#lastErrors = errors;
    }
    this.#trace.append(t, uj, this.#last.keys());
  }

  #give(counter: string, energyUj: number): void {
    const account = this.#crossed.has(counter) ? this.#books.holes : this.#owner;
    bump(account.uj, counter, energyUj);
    if (this.#isCounted(counter)) {
      bump(account.byPeriod, this.#periods.length - 1, energyUj);
      this.#countedUj += energyUj;
    }
  }

  #isCounted(counter: string): boolean {
    return this.#counters.get(counter)?.counted ?? false;
  }

  // --- boundaries ---

  /** Counters of the session that this stamp has no reading of. */
  #unread(): string[] {
    return [...this.#counters.keys()].filter(counter => !this.#stamp.uj.has(counter));
  }

  /** Those, and any that was read later before this stamp came: too late to divide them. */
  #unsure(): string[] {
    const { uj } = this.#stamp;
    return [...this.#counters.keys()].filter(
      counter => !uj.has(counter) || uj.get(counter)! < this.#last.get(counter)!
    );
  }

  /** The time line changes hands now. */
  #handOver(owner: Account, owning: Window | null): void {
    if (owner === this.#owner) {
      return;
    }
    const unsure = this.#unsure();
    if (unsure.length) {
      this.#unread().forEach(counter => this.#crossed.add(counter));
      this.#owning?.flag(unsure);
      owning?.flag(unsure);
    }
    this.#owner = owner;
    this.#owning = owning;
  }

  /** The time line goes to who should own it now. */
  #handToRightful(): void {
    if (this.#paused) {
      this.#handOver(this.#books.paused, null);
      return;
    }
    for (const window of this.#openCells.values()) {
      if (window.account) {
        this.#handOver(window.account, window);
        return;
      }
    }
    this.#handOver(this.#books.between, null);
  }

  #open<Began extends Vocabulary.CellStarted | Vocabulary.SpanStarted>(
    began: Began,
    account: Account | null
  ): OpenWindow<Began> {
    const atStart = new Map<string, number>();
    for (const counter of this.#stamp.uj.keys()) {
      const uj = this.#last.get(counter);
      if (uj !== undefined) {
        atStart.set(counter, uj);
      }
    }
    return new Window(
      began,
      atStart,
      this.#periods.length - 1,
      new Set(this.#unsure()),
      account
    );
  }

  #energy(window: Window, atEnd: Errors, missing: ReadonlySet<string>): Energy {
    return energyOf(
      window.differences(this.#last),
      this.#counters,
      missing,
      window.began.error_uj,
      atEnd,
      window.byPeriod(this.#last, this.#counters, this.#periodStarts)
    );
  }

  // --- what the events do ---

  #sessionStarted(event: Vocabulary.SessionStarted): void {
    checkFormat(event.format);
    if (this.#header) {
      return;
    }
    this.#header = event;
    this.#counters = new Map(event.counters.map(info => [info.name, info]));
    this.#wall = { t: event.t, wallS: event.wall_s };
    const { intensity, pricing } = event;
    this.#periods.push({ since_s: 0, intensity, pricing, reason: '' });
    this.#unread().forEach(counter => this.#neverWhole.add(counter));
    this.#readCounters();
  }

  #cellStarted(event: Vocabulary.CellStarted): void {
    if (this.#openCells.has(event.number) || this.#books.has(event.number)) {
      return;
    }
    if (!ownsTime(event)) {
      this.#openCells.set(event.number, this.#open(event, null));
      return;
    }
    this.#abandonMainCells();
    const account = this.#books.begin(event.number);
    const window = this.#open(event, account);
    this.#openCells.set(event.number, window);
    if (!this.#paused) {
      this.#handOver(account, window);
    }
  }

  /** A new outermost cell means that the one before is over, even if no line says so. */
  #abandonMainCells(): void {
    for (const window of [...this.#openCells.values()]) {
      if (window.began.thread === 'main') {
        window.flag([...this.#counters.keys()].filter(counter => this.#isCounted(counter)));
        this.#closeCell(window, this.#unfinished('unfinished'));
      }
    }
  }

  /** An end that has no line of its own, with the stamp of this moment's event. */
  #unfinished(status: string): { t: number; status: string } {
    return { t: this.#stamp.t, status };
  }

  #finishCell(number: number, end: CellEnd): void {
    const window = this.#openCells.get(number);
    if (window) {
      window.flag(this.#unsure());
      this.#closeCell(window, end);
    }
  }

  #closeCell(window: OpenWindow<Vocabulary.CellStarted>, end: CellEnd): void {
    const { errors } = this.#stamp;
    this.#openCells.delete(window.began.number);
    const cell = finishedCell(window.began, end, this.#energy(window, errors, window.missing));
    this.#cells.ended.push(cell);
    this.#cells.errors.push([window.began.error_uj, errors]);
    this.#books.finish(cell);
    if (this.#owning === window) {
      this.#handToRightful();
    }
  }

  #spanStarted(event: Vocabulary.SpanStarted): void {
    if (!this.#openSpans.has(event.span)) {
      this.#openSpans.set(event.span, this.#open(event, null));
    }
  }

  #finishSpan(span: number, end: SpanEnd): void {
    const window = this.#openSpans.get(span);
    if (!window) {
      return;
    }
    const { errors } = this.#stamp;
    this.#openSpans.delete(span);
    window.flag(this.#unsure());
    const energy = this.#energy(window, errors, window.missing);
    this.#spans.ended.push(finishedSpan(window.began, end, energy));
    this.#spans.errors.push([window.began.error_uj, errors]);
  }

  #metricLogged(event: Vocabulary.MetricLogged): void {
    const cell = event.cell === null ? undefined : this.#openCells.get(event.cell);
    this.#metrics.push({
      name: event.name,
      value: metricValue(event),
      step: event.step,
      run: event.run,
      direction: event.direction,
      source: event.source,
      cell: event.cell,
      logged_s: event.t,
      session_uj: this.#countedIn(this.#last) === null ? null : this.#countedUj,
      cell_uj: cell ? this.#countedIn(cell.differences(this.#last)) : null
    });
  }

  /** Sum of the counted counters; null where there is none. */
  #countedIn(uj: ByCounter): number | null {
    let counted: number | null = null;
    for (const [counter, energyUj] of uj) {
      if (this.#isCounted(counter)) {
        counted = (counted ?? 0) + energyUj;
      }
    }
    return counted;
  }

  #beginPeriod(t: number, change: Partial<Period>): void {
    this.#periods.push({ ...this.#periods.at(-1)!, ...change, since_s: t });
    this.#periodStarts.push(new Map(this.#last));
  }

  #budgetSet({ t, budget_uj, stop }: Vocabulary.BudgetSet): void {
    this.#budget = budget_uj === null ? null : { budget_uj, stop, set_s: t };
  }

  #baselineMeasured(event: Vocabulary.BaselineMeasured): void {
    const { t, duration_s, power_w, busy } = event;
    this.#baselines.push({ measured_s: t, duration_s, power_w, busy });
  }

  #track(on: boolean): void {
    this.#paused = !on;
    this.#handToRightful();
  }

  #overlapSeen({ session, pid, notebook, t }: Vocabulary.OverlapSeen): void {
    if (!this.#overlaps.some(overlap => overlap.session === session)) {
      this.#overlaps.push({ session, pid, notebook, seen_s: t });
    }
  }

  #counterLost(event: Vocabulary.CounterLost): void {
    if (!this.#lost.has(event.counter)) {
      this.#lost.set(event.counter, event);
    }
    // Windows that ended after the counter had died took its last value for an end.
    this.#flagFinishedSince(event.counter, event.since);
  }

  #counterRestored(event: Vocabulary.CounterRestored): void {
    const { counter, lost } = event;
    const { since, reason, remedy } = this.#lost.get(counter) ?? { ...event, remedy: '' };
    this.#lost.delete(counter);
    this.#holes.push({ counter, since_s: since, until_s: event.t, reason, remedy, lost });
    if (lost) {
      this.#neverWhole.add(counter);
      this.#flagFinishedSince(counter, since);
      this.#openCells.forEach(window => window.flag([counter]));
      this.#openSpans.forEach(window => window.flag([counter]));
    }
  }

  #flagFinishedSince(counter: string, since: number): void {
    this.#flagRecent(this.#cells, counter, since);
    this.#flagRecent(this.#spans, counter, since);
  }

  /**
   * Marks finished windows that ended after `since` as lacking `counter`.
   *
   * They were appended as they ended, so the search ends at the first that is too old.
   */
  #flagRecent({ ended, errors }: Finished<Cell | Span>, counter: string, since: number): void {
    for (
      let index = ended.length - 1;
      index >= 0 && ended[index]!.finished_s > since;
      index--
    ) {
      const window = ended[index]!;
      const { uj, missing, by_period } = window.energy;
      const energy = energyOf(
        new Map(Object.entries(uj)),
        this.#counters,
        new Set([...missing, counter]),
        ...errors[index]!,
        new Map(
          Object.entries(by_period).map(([period, energyUj]) => [Number(period), energyUj])
        )
      );
      ended[index] = { ...window, energy };
    }
  }

  #powerSampled(event: Vocabulary.PowerSampled): void {
    this.#devices = event.devices;
    this.#devicesS = event.t;
  }

  #counterNoted({ counter, note, remedy }: Vocabulary.CounterNoted): void {
    this.#addProblem(remedy ? `${counter}: ${note}; ${remedy}` : `${counter}: ${note}`);
  }

  #recorderRestarted({ since, t, reason }: Vocabulary.RecorderRestarted): void {
    this.#gaps.push({ since_s: since, until_s: t, reason });
  }

  #clockAnchored(event: Vocabulary.ClockAnchored): void {
    this.#wall = { t: event.t, wallS: event.wall_s };
    if (event.suspended_s > this.#suspendedS) {
      this.#suspendedS = event.suspended_s;
      this.#suspends.push([event.t, event.suspended_s]);
    }
  }

  #journalThinned(event: Vocabulary.JournalThinned): void {
    this.#dropped += event.dropped;
    if (event.reason) {
      this.#addProblem(event.reason);
    }
  }

  /** Each is told once. */
  #addProblem(problem: string): void {
    if (!this.#problems.includes(problem)) {
      this.#problems.push(problem);
    }
  }

  /** What is open now will not be finished by any other line. */
  #sessionEnded(event: Vocabulary.SessionEnded): void {
    this.#unread().forEach(counter => this.#neverWhole.add(counter));
    this.#end = event;
    const end = this.#unfinished(event.reason === 'kernel died' ? 'kernel died' : 'unfinished');
    [...this.#openSpans.keys()].forEach(span => this.#finishSpan(span, end));
    [...this.#openCells.keys()].forEach(number => this.#finishCell(number, end));
  }

  // --- the session ---

  /**
   * The session as far as it has been fed. Its lists and columns are those that grow on: views to be
   * read, and asked for anew.
   *
   * @param orphan its kernel and recorder are both dead: what is open ends at its last stamp.
   * @throws NotAJournal no first line has been read yet.
   */
  session(orphan = false): Session {
    const header = this.#header;
    if (!header) {
      throw new NotAJournal('the journal has no first line (session_started)');
    }
    const deadCells = orphan ? this.#orphanedCells() : [];
    const deadSpans = orphan ? this.#orphanedSpans() : [];
    return {
      id: header.session,
      format: header.format,
      version: header.version,
      state: this.#state(orphan),
      reason: this.#end?.reason ?? (orphan ? 'kernel and recorder died' : null),
      started_wall_s: header.wall_s - header.t,
      ended_wall_s: this.#wall.wallS + Math.max(0, this.#t - this.#wall.t),
      duration_s: this.#t,
      host: header.host,
      boot_id: header.boot_id,
      pid: header.pid,
      process_started: header.process_started,
      front_end: header.front_end,
      notebook: header.notebook,
      project: header.project,
      machine: header.machine,
      counters: Object.fromEntries(this.#counters),
      refused: header.refused,
      cells: withMore(this.#cells.ended, deadCells),
      open_cells: orphan ? [] : this.#runningCells(),
      spans: withMore(this.#spans.ended, deadSpans),
      metrics: this.#metrics,
      models: this.#models,
      baselines: this.#baselines,
      total: this.#sessionEnergy(),
      ledger: this.#books.ledger(deadCells),
      periods: filled(this.#periods),
      holes: [...this.#holes, ...this.#openHoles()],
      gaps: this.#gaps,
      overlaps: this.#overlaps,
      paused: this.#paused,
      suspends: this.#suspends,
      devices: this.#readableDevices(),
      devices_s: this.#devicesS,
      power_w: this.#trace.powerW(name => this.#isCounted(name) && !this.#lost.has(name)),
      trace: this.#trace.view(),
      bad_lines: this.#badLines,
      unknown_events: this.#unknownEvents,
      samples_dropped: this.#dropped,
      problems: this.#problems,
      budget: this.#budget
    };
  }

  #state(orphan: boolean): string {
    if (!this.#end) {
      return orphan ? 'ended without goodbye' : 'open';
    }
    return this.#end.reason === 'goodbye' ? 'closed' : 'ended without goodbye';
  }

  #sessionEnergy(): Energy {
    const total = this.#books.total();
    for (const counter of this.#last.keys()) {
      total.uj.set(counter, total.uj.get(counter) ?? 0);
    }
    return energyOf(
      total.uj,
      this.#counters,
      new Set([...this.#neverWhole, ...this.#lost.keys()]),
      this.#firstErrors,
      this.#lastErrors,
      total.byPeriod
    );
  }

  #runningCells(): OpenCell[] {
    return [...this.#openCells.values()].map(window => ({
      number: window.began.number,
      cell: window.began.cell,
      first_line: window.began.first_line,
      execution_count: window.began.execution_count,
      tags: window.began.tags,
      thread: window.began.thread,
      parent: window.began.parent,
      started_s: window.began.t,
      so_far: this.#soFar(window),
      suggested_stage: window.began.suggested_stage
    }));
  }

  #soFar(window: Window): Energy {
    return this.#energy(
      window,
      this.#lastErrors,
      new Set([...window.missing, ...this.#lost.keys()])
    );
  }

  #orphanedCells(): Cell[] {
    const end = { t: this.#t, status: 'kernel died' };
    return [...this.#openCells.values()].map(window =>
      finishedCell(window.began, end, this.#soFar(window))
    );
  }

  #orphanedSpans(): Span[] {
    const end = { t: this.#t, status: 'kernel died' };
    return [...this.#openSpans.values()].map(window =>
      finishedSpan(window.began, end, this.#soFar(window))
    );
  }

  #openHoles(): Hole[] {
    return [...this.#lost.values()].map(({ counter, since, reason, remedy }) => ({
      counter,
      since_s: since,
      until_s: null,
      reason,
      remedy,
      lost: true
    }));
  }

  #readableDevices(): Record<string, Vocabulary.DeviceState> {
    return Object.fromEntries(
      Object.entries(this.#devices).filter(([counter]) => !this.#lost.has(counter))
    );
  }
}

function stampOf(event: AnyEvent): Stamp {
  return 'uj' in event
    ? { t: event.t, uj: new Map(Object.entries(event.uj)), errors: event.error_uj }
    : { t: event.t, uj: NO_READINGS, errors: {} };
}

function isEmpty(errors: Errors): boolean {
  return Object.keys(errors).length === 0;
}

function withMore<T>(list: readonly T[], more: readonly T[]): readonly T[] {
  return more.length ? [...list, ...more] : list;
}

/** The value; JSON has no numbers for infinities and NaN, so these come as text. */
function metricValue({ value, text }: Vocabulary.MetricLogged): number {
  if (value !== null) {
    return value;
  }
  return text === 'inf' ? Infinity : text === '-inf' ? -Infinity : NaN;
}

/** Periods from before a place, or a price, was first set take that one: the machine has not moved,
 * nor changed its supplier. */
function filled(periods: readonly Period[]): readonly Period[] {
  const placed = periods.findIndex(period => period.intensity !== null);
  const priced = periods.findIndex(period => period.pricing.price_per_kwh !== null);
  if (placed <= 0 && priced <= 0) {
    return periods;
  }
  const intensity = periods[placed]?.intensity ?? null;
  const { price_per_kwh, currency } = periods[Math.max(priced, 0)]!.pricing;
  return periods.map((period, index) => ({
    ...period,
    intensity: index < placed ? intensity : period.intensity,
    pricing: index < priced ? { ...period.pricing, price_per_kwh, currency } : period.pricing
  }));
}
