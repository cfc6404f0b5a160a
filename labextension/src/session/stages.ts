/**
 * Energy by stage of the lifecycle: what cells and spans were tagged with, what cells without a tag
 * seem to be, and the rest. The twin of `jupyter_green/insight/stages.py`; both are held to
 * `tests/golden/stages`.
 *
 * The rows add up to the session's total to the microjoule.
 */

import { ownsTime } from './figures';
import type { Cell, Energy, OpenCell, Session, Span } from './model';

export interface Stage {
  /** As it was tagged, folded (user's text), or suggested; null: no stage. */
  name: string | null;
  total_uj: number;
  /** 0 for what has no stage, which is the rest. */
  bound_uj: number;
  seconds: number;
  /** Cells and spans that it is made of. */
  runs: number;
  /** By what its cells call: nobody has tagged them. */
  suggested: boolean;
}

/** A window without those inside it that have a stage of their own. */
interface Part {
  stage: string;
  suggested: boolean;
  uj: number;
  /** Of the counters' updates: adds up over the ends of all parts ... */
  lag_uj: number;
  /** ... and of models: a share of the energy, which goes with it. */
  band_uj: number;
  seconds: number;
  end_s: number;
}

type Groups = Map<string, Stage>;

/**
 * The stages of one session by energy, and last what has none. What is tagged comes before what is
 * suggested for the same stage, and a tag always wins.
 *
 * A span that has a stage counts there and not with its cell: a validation that runs within the
 * training is evaluation. Of spans that overlap, the one that began first counts. Spans outside of
 * cells count in a plain script alone, which has no cells.
 *
 * A session may be asked for twice a second: finished cells are gone through again only when one of
 * them, or a span that has a stage, came or changed.
 */
export class Stages {
  #cells: readonly Cell[] = [];
  #spans: readonly Span[] = [];
  #finished: Groups = new Map();
  #spansOf = new Map<number | null, Span[]>();
  readonly #names = new Map<string, string>();

  of(session: Session): Stage[] {
    this.#take(session);
    const groups: Groups = new Map();
    this.#finished.forEach((stage, key) => groups.set(key, { ...stage }));
    for (const cell of session.open_cells) {
      if (ownsTime(cell)) {
        this.#add(groups, cell, cell.so_far, session.duration_s);
      }
    }
    if (isScript(session)) {
      this.#addScript(groups, session);
    }
    const rows = inOrder([...groups.values()]);
    const named = { uj: 0, seconds: 0 };
    for (const row of rows) {
      named.uj += row.total_uj;
      named.seconds += row.seconds;
    }
    const rest = emptyStage(null, false);
    rest.total_uj = (session.total.total_uj ?? 0) - named.uj;
    rest.seconds = Math.max(0, session.duration_s - named.seconds);
    return [...rows, rest];
  }

  #take(session: Session): void {
    if (!this.#isChanged(session)) {
      return;
    }
    this.#cells = [...session.cells];
    this.#spans = session.spans.filter(isStaged);
    this.#finished = new Map();
    this.#spansOf = new Map();
    for (const span of this.#spans) {
      const beside = this.#spansOf.get(span.cell);
      if (beside) {
        beside.push(span);
      } else {
        this.#spansOf.set(span.cell, [span]);
      }
    }
    for (const cell of session.cells) {
      if (ownsTime(cell) && cell.energy.total_uj !== null) {
        this.#add(this.#finished, cell, cell.energy, cell.finished_s);
      }
    }
  }

  #isChanged({ cells, spans }: Session): boolean {
    if (cells.length !== this.#cells.length) {
      return true;
    }
    for (let index = 0; index < cells.length; index++) {
      if (cells[index] !== this.#cells[index]) {
        return true;
      }
    }
    let staged = 0;
    for (const span of spans) {
      if (isStaged(span) && span !== this.#spans[staged++]) {
        return true;
      }
    }
    return staged !== this.#spans.length;
  }

  #add(groups: Groups, cell: Cell | OpenCell, energy: Energy, end_s: number): void {
    const tagged = this.#folded(cell.tags.stage);
    const stage = tagged || this.#folded(cell.suggested_stage);
    const spans = this.#spansOf.get(cell.number);
    if (!stage && !spans) {
      return;
    }
    const seconds = Math.max(0, end_s - cell.started_s);
    const whole = partOf(stage, !tagged, energy, seconds, end_s);
    for (const part of spans ? this.#nested(whole, cell.started_s, spans) : [whole]) {
      if (part.stage) {
        count(groups, part);
      }
    }
  }

  #addScript(groups: Groups, { total, duration_s }: Session): void {
    const spans = this.#spansOf.get(null);
    if (spans && total.total_uj !== null) {
      const whole = partOf('', false, total, duration_s, duration_s);
      this.#nested(whole, 0, spans)
        .filter(part => part.stage)
        .forEach(part => count(groups, part));
    }
  }

  /**
   * The window and the spans within it, each without what lies inside it.
   *
   * A span that overlaps another without lying in it is left to what is around it, and so is one
   * whose readings make it larger than that.
   */
  #nested(whole: Part, began_s: number, spans: readonly Span[]): Part[] {
    const parts = [whole];
    const around = [whole];
    for (const span of [...spans].sort(byStart)) {
      const stage = this.#folded(span.tags.stage);
      if (!stage) {
        continue;
      }
      while (around.length > 1 && around.at(-1)!.end_s <= span.started_s) {
        around.pop();
      }
      const outer = around.at(-1)!;
      const seconds = span.finished_s - span.started_s;
      const inner = partOf(stage, false, span.energy, seconds, span.finished_s);
      if (span.started_s < began_s || inner.end_s > outer.end_s || inner.uj > outer.uj) {
        continue;
      }
      outer.uj -= inner.uj;
      outer.lag_uj += inner.lag_uj;
      outer.band_uj -= inner.band_uj;
      outer.seconds -= inner.seconds;
      parts.push(inner);
      around.push(inner);
    }
    return parts;
  }

  /** There are few of them, on many cells. */
  #folded(stage: string | null): string {
    if (!stage) {
      return '';
    }
    let name = this.#names.get(stage);
    if (name === undefined) {
      name = folded(stage);
      this.#names.set(stage, name);
    }
    return name;
  }
}

// What Python's `str.split` takes for space.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/**
 * As Python folds case, which tells an i without its dot from one that has it. Letter by letter,
 * as the small sigma at the end of a word is not another letter.
 */
export function folded(stage: string): string {
  const same = stage.replace(/[^ı]/gu, letter =>
    letter.toLowerCase().toUpperCase().toLowerCase()
  );
  return same.split(SPACES).filter(Boolean).join(' ');
}

const isScript = ({ front_end, cells, open_cells }: Session): boolean =>
  front_end === 'script' && cells.length + open_cells.length === 0;

const byStart = (a: Span, b: Span): number =>
  a.started_s - b.started_s || b.finished_s - a.finished_s || a.span - b.span;

const isStaged = ({ tags, energy }: Span): boolean =>
  tags.stage !== null && energy.total_uj !== null;

function partOf(
  stage: string,
  suggested: boolean,
  { total_uj, lag_uj, bound_uj }: Energy,
  seconds: number,
  end_s: number
): Part {
  const band_uj = bound_uj - lag_uj;
  return { stage, suggested, uj: total_uj ?? 0, lag_uj, band_uj, seconds, end_s };
}

const emptyStage = (name: string | null, suggested: boolean): Stage => ({
  name,
  total_uj: 0,
  bound_uj: 0,
  seconds: 0,
  runs: 0,
  suggested
});

function count(groups: Groups, part: Part): void {
  const key = `${part.suggested} ${part.stage}`;
  let stage = groups.get(key);
  if (stage === undefined) {
    stage = emptyStage(part.stage, part.suggested);
    groups.set(key, stage);
  }
  stage.total_uj += part.uj;
  stage.bound_uj += part.lag_uj + Math.max(0, part.band_uj);
  stage.seconds += part.seconds;
  stage.runs += 1;
}

/** By the energy of the stage, and what is tagged before what is suggested for it. */
function inOrder(rows: Stage[]): Stage[] {
  const total_uj = new Map<string | null, number>();
  for (const row of rows) {
    total_uj.set(row.name, (total_uj.get(row.name) ?? 0) + row.total_uj);
  }
  const ofName = (row: Stage): number => total_uj.get(row.name)!;
  return rows.sort(
    (a, b) =>
      ofName(b) - ofName(a) ||
      (a.name! < b.name! ? -1 : Number(a.name! > b.name!)) ||
      Number(a.suggested) - Number(b.suggested)
  );
}
