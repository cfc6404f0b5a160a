/** The rows of the list of cells: grouped by cell, in an order that is kept, not made anew. */

import { labelOf } from '../session/figures';
import type { Cell, OpenCell } from '../session/model';

export type Run = Cell | OpenCell;
export type Order = 'order' | 'energy' | 'time' | 'name';

/** All runs of one cell under one label; reruns share the label, as in the ledger. */
export interface Group {
  key: string;
  /** By their number. */
  runs: Run[];
  /** What it is sorted by, of the latest run; -1: the energy is not readable. */
  energy_uj: number;
  seconds: number;
  name: string;
}

export interface Row {
  key: string;
  group: Group;
  run: Run;
  /** One of the earlier runs, shown below the latest. */
  earlier: boolean;
}

export const isOpen = (run: Run): run is OpenCell => 'so_far' in run;
export const energyOf = (run: Run) => (isOpen(run) ? run.so_far : run.energy);
export const latest = (group: Group): Run => group.runs[group.runs.length - 1];
export const secondsOf = (run: Run, now_s: number): number =>
  Math.max(0, (isOpen(run) ? now_s : run.finished_s) - run.started_s);

/** A row for each group, and for each earlier run of those that are expanded. */
export class Rows {
  private readonly _groups = new Map<string, Group>();
  private _ordered: Group[] = [];
  /** The finished cells as they were taken in, with the energies that the order was made with. */
  private readonly _taken: Cell[] = [];
  private readonly _energies: number[] = [];
  private readonly _expanded = new Set<string>();
  private _order: Order = 'order';
  private _unfolded: Row[] | null = null;

  /** Takes in what has changed; true if rows came or moved. */
  update(cells: readonly Cell[], open: readonly OpenCell[], now_s: number): boolean {
    const changed = new Set<Group>();
    for (let index = 0; index < cells.length; index++) {
      const cell = cells[index];
      if (this._taken[index] !== cell || this._energies[index] !== uj(cell)) {
        this._taken[index] = cell;
        this._energies[index] = uj(cell);
        changed.add(this._take(cell, now_s));
      }
    }
    open.forEach(run => changed.add(this._take(run, now_s)));
    if (changed.size === 0) {
      return false;
    }
    this._arrange(changed);
    this._unfolded = null;
    return true;
  }

  /** Another session begins. */
  clear(): void {
    this._groups.clear();
    this._taken.length = 0;
    this._energies.length = 0;
    this._expanded.clear();
    this._ordered = [];
    this._unfolded = null;
  }

  get groups(): number {
    return this._groups.size;
  }

  sortBy(order: Order): void {
    this._order = order;
    this._ordered.sort(COMPARE[order]);
    this._unfolded = null;
  }

  toggle(key: string): void {
    if (!this._expanded.delete(key)) {
      this._expanded.add(key);
    }
    this._unfolded = null;
  }

  isExpanded(key: string): boolean {
    return this._expanded.has(key);
  }

  get length(): number {
    return this._expanded.size === 0 ? this._ordered.length : this._all().length;
  }

  /** The rows from one position up to, and without, another. */
  slice(from: number, to: number): Row[] {
    if (this._expanded.size > 0) {
      return this._all().slice(from, to);
    }
    return this._ordered.slice(from, to).map(group => rowOf(group, latest(group), false));
  }

  private _all(): Row[] {
    return (this._unfolded ??= this._ordered.flatMap(group => this._rowsOf(group)));
  }

  private _rowsOf(group: Group): Row[] {
    const rows = [rowOf(group, latest(group), false)];
    if (this._expanded.has(group.key)) {
      rows.push(
        ...group.runs
          .slice(0, -1)
          .reverse()
          .map(run => rowOf(group, run, true))
      );
    }
    return rows;
  }

  private _take(run: Run, now_s: number): Group {
    const key = `${run.cell} ${run.tags.label ?? ''}`;
    let group = this._groups.get(key);
    if (group === undefined) {
      group = { key, runs: [], energy_uj: 0, seconds: 0, name: '' };
      this._groups.set(key, group);
    }
    place(group.runs, run);
    const last = latest(group);
    group.energy_uj = uj(last);
    group.seconds = secondsOf(last, now_s);
    group.name = labelOf(last).toLowerCase();
    return group;
  }

  /** A few are put in their places; of many, all are sorted once. */
  private _arrange(changed: ReadonlySet<Group>): void {
    const compare = COMPARE[this._order];
    this._ordered = this._ordered.filter(group => !changed.has(group));
    if (changed.size > 8) {
      this._ordered.push(...changed);
      this._ordered.sort(compare);
      return;
    }
    for (const group of changed) {
      this._ordered.splice(position(this._ordered, group, compare), 0, group);
    }
  }
}

type Compare = (a: Group, b: Group) => number;

const byNumber: Compare = (a, b) => latest(b).number - latest(a).number;

/** The latest, the costly and the long first; names from A on. Ties: the latest first. */
const COMPARE: Record<Order, Compare> = {
  order: byNumber,
  energy: (a, b) => b.energy_uj - a.energy_uj || byNumber(a, b),
  time: (a, b) => b.seconds - a.seconds || byNumber(a, b),
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : byNumber(a, b))
};

function rowOf(group: Group, run: Run, earlier: boolean): Row {
  return { key: `${group.key}#${earlier ? run.number : ''}`, group, run, earlier };
}

/** What is not readable comes last. */
const uj = (run: Run): number => energyOf(run).total_uj ?? -1;

/** Into its place by number; a run that has ended replaces itself as it was while it ran. */
function place(runs: Run[], run: Run): void {
  let at = runs.length;
  while (at > 0 && runs[at - 1].number >= run.number) {
    at -= 1;
  }
  runs.splice(at, runs[at]?.number === run.number ? 1 : 0, run);
}

function position<T>(sorted: readonly T[], item: T, compare: (a: T, b: T) => number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(sorted[middle], item) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
