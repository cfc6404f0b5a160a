/**
 * The ledger: what the session's energy was good for, to the microjoule. Its sums are kept as
 * cells begin and end, because a live session is asked for them twice a second.
 */

import { ownsTime } from './figures';
import type { Category, Cell, Entry, Ledger } from './model';
import { Account } from './windows';

const FAILED = new Set(['error', 'interrupted', 'kernel died', 'unfinished']);

export class Books {
  readonly between = new Account();
  readonly paused = new Account();
  readonly holes = new Account();
  readonly #finished: Record<Category, Account> = {
    productive: new Account(),
    superseded: new Account(),
    failed: new Account()
  };
  /** Of every cell that has ever owned the time line. */
  readonly #accounts = new Map<number, Account>();
  readonly #running = new Set<Account>();
  readonly #categories = new Map<number, Category>();
  /** By label and cell, the run whose result was kept so far. */
  readonly #lastSuccess = new Map<string | null, Map<string, number>>();

  has(number: number): boolean {
    return this.#accounts.has(number);
  }

  /** A cell that owns time begins. */
  begin(number: number): Account {
    const account = new Account();
    this.#accounts.set(number, account);
    this.#running.add(account);
    return account;
  }

  /**
   * A cell has ended: productive, superseded or failed, where it owns time.
   *
   * A success is superseded when the same cell succeeds again later with the same label: only the
   * last result was kept. Deliberate repeats are never waste.
   */
  finish(cell: Cell): void {
    if (!ownsTime(cell)) {
      return;
    }
    this.#running.delete(this.#accounts.get(cell.number)!);
    const failed = FAILED.has(cell.status);
    this.#file(cell.number, failed ? 'failed' : 'productive');
    if (failed || cell.tags.deliberate) {
      return;
    }
    const earlier = this.#keep(cell);
    if (earlier !== undefined) {
      this.#file(earlier, 'superseded');
    }
  }

  /** Notes a success; returns the one before it, if any. */
  #keep({ number, cell, tags }: Cell): number | undefined {
    const labelled = this.#lastSuccess.get(tags.label) ?? new Map<string, number>();
    this.#lastSuccess.set(tags.label, labelled);
    const earlier = labelled.get(cell);
    labelled.set(cell, number);
    return earlier;
  }

  #file(number: number, category: Category): void {
    const account = this.#accounts.get(number)!;
    const before = this.#categories.get(number);
    if (before) {
      this.#finished[before].absorb(account, -1);
    }
    this.#finished[category].absorb(account);
    this.#categories.set(number, category);
  }

  /** Everything, whoever owns it. */
  total(): Account {
    return added(
      this.between,
      this.paused,
      this.holes,
      ...Object.values(this.#finished),
      ...this.#running
    );
  }

  /** `orphaned`: cells that were running when kernel and recorder died; they have failed. */
  ledger(orphaned: readonly Cell[]): Ledger {
    const dead = orphaned.filter(ownsTime);
    const died = dead.map(cell => this.#accounts.get(cell.number)!);
    const running = [...this.#running].filter(account => !died.includes(account));
    return {
      entries: {
        productive: entryOf(this.#finished.productive),
        superseded: entryOf(this.#finished.superseded),
        failed: entryOf(added(this.#finished.failed, ...died)),
        running: entryOf(added(...running)),
        'between cells': entryOf(this.between),
        paused: entryOf(this.paused),
        holes: entryOf(this.holes)
      },
      category_of: dead.length
        ? new Map([...this.#categories, ...dead.map(cell => [cell.number, 'failed'] as const)])
        : this.#categories
    };
  }
}

function added(...accounts: Account[]): Account {
  const sum = new Account();
  accounts.forEach(account => sum.absorb(account));
  return sum;
}

function entryOf({ uj, byPeriod, seconds }: Account): Entry {
  let totalUj = 0;
  byPeriod.forEach(energyUj => (totalUj += energyUj));
  return {
    uj: Object.fromEntries(uj),
    total_uj: totalUj,
    seconds,
    by_period: Object.fromEntries(byPeriod)
  };
}
