/** The cells with what each has cost: a list of which only the visible rows exist. */

import type { State } from '../feed/panel';
import { co2G, labelOf, share } from '../session/figures';
import type { Energy, Metric, Session } from '../session/model';
import { formatCo2, formatDuration } from '../session/units';
import type { Context, Section } from './context';
import { isResult, lastOf } from './curves';
import { attribute, button, h, select, show, style, text } from './dom';
import { energyOf, isOpen, Rows, secondsOf, type Order, type Row, type Run } from './rows';
import {
  boundWords,
  clean,
  columnTime,
  energyTitle,
  energyWords,
  joined,
  metricWords,
  purposeWords,
  shareText,
  statusWords
} from './words';

/** As in panel.css. */
const ROW_HEIGHT = 42;
/** Rows beyond the visible ones, on both sides. */
const SPARE = 4;
/** Taller than this the list scrolls by itself. */
const MOST_ROWS = 11;
const LONGEST_LABEL = 200;

export function cells(context: Context): Section {
  return new Cells(context);
}

class Cells implements Section {
  readonly element: HTMLElement;
  private readonly _t: Context['translate'];
  private readonly _rows = new Rows();
  private readonly _views = new Map<string, RowView>();
  private readonly _space = h('div', { class: 'jg-space', role: 'rowgroup' });
  private readonly _list: HTMLElement;
  private readonly _count = h('span', { class: 'jg-dim jg-about' });
  private readonly _metrics = new LastMetrics();
  private _shown: [State, Session] | null = null;
  private _session = '';
  private _current = 0;

  constructor(private readonly _context: Context) {
    const t = (this._t = _context.translate);
    const order = select(
      t('Order of the cells'),
      [
        ['order', t('latest first')],
        ['energy', t('by energy')],
        ['time', t('by time')],
        ['name', t('by name')]
      ],
      value => this._sort(value as Order)
    );
    this._list = h(
      'div',
      { class: 'jg-cells', role: 'table', 'aria-label': t('Cells and their energy') },
      this._space
    );
    this._list.addEventListener('scroll', () => this._render(), { passive: true });
    this._list.addEventListener('keydown', event => this._key(event));
    this._list.addEventListener('focusin', event => this._focused(event.target as Element));
    this.element = h(
      'section',
      { 'aria-label': t('Cells') },
      h('header', { class: 'jg-heading' }, h('h4', {}, t('Cells')), this._count, order),
      this._list
    );
  }

  update(state: State, session: Session): void {
    if (session.id !== this._session) {
      this._session = session.id;
      this._rows.clear();
      this._metrics.clear();
    }
    this._shown = [state, session];
    this._metrics.update(session.metrics);
    this._rows.update(session.cells, session.open_cells, session.duration_s);
    show(this.element, this._rows.length > 0);
    const runs = session.cells.length + session.open_cells.length;
    text(
      this._count,
      runs > this._rows.groups
        ? this._rows.groups === 1
          ? this._t('%1 runs of one cell', runs)
          : this._t('%1 runs of %2 cells', runs, this._rows.groups)
        : runs > 1
          ? String(runs)
          : ''
    );
    this._render();
  }

  private _sort(order: Order): void {
    this._rows.sortBy(order);
    this._list.scrollTop = 0;
    this._current = 0;
    this._render();
  }

  private _render(): void {
    if (this._shown === null) {
      return;
    }
    const length = this._rows.length;
    const visible = Math.min(length, MOST_ROWS);
    style(this._list, 'height', `${visible * ROW_HEIGHT}px`);
    style(this._list, '--jg-digits', `${this._digits()}ch`);
    style(this._space, 'height', `${length * ROW_HEIGHT}px`);
    attribute(this._list, 'aria-rowcount', length);
    const top = Math.floor(this._list.scrollTop / ROW_HEIGHT);
    const from = Math.max(0, Math.min(top, length - visible) - SPARE);
    this._show(this._rows.slice(from, from + visible + 2 * SPARE + 1), from);
  }

  /** Room for the brackets and the largest execution count, which is the last one. */
  private _digits(): number {
    const { cells, open_cells } = this._shown![1];
    const last = open_cells.at(-1) ?? cells.at(-1);
    return String(last?.execution_count ?? '').length + 1.5;
  }

  private _show(rows: readonly Row[], from: number): void {
    const free = this._leaving(new Set(rows.map(row => row.key)));
    this._current = Math.min(this._current, Math.max(0, this._rows.length - 1));
    let before: Element | null = null;
    rows.forEach((row, index) => {
      before = this._showRow(row, from + index, before, free);
    });
    free.forEach(view => view.element.remove());
  }

  /** The views that nobody needs any more: others take them over, which is cheaper than new ones. */
  private _leaving(keys: ReadonlySet<string>): RowView[] {
    const leaving = [...this._views].filter(([key]) => !keys.has(key));
    leaving.forEach(([key]) => this._views.delete(key));
    return leaving.map(([, view]) => view);
  }

  private _showRow(row: Row, index: number, before: Element | null, free: RowView[]): Element {
    let view = this._views.get(row.key);
    if (view === undefined) {
      view = free.pop() ?? new RowView(this._context, key => this._toggle(key));
      this._views.set(row.key, view);
      this._space.insertBefore(
        view.element,
        before === null ? this._space.firstChild : before.nextSibling
      );
    }
    const [state, session] = this._shown!;
    view.update(row, index, index === this._current, this._rows.isExpanded(row.group.key), {
      state,
      session,
      metric: this._metrics.of(row.run.number)
    });
    return view.element;
  }

  private _toggle(key: string): void {
    this._rows.toggle(key);
    this._render();
  }

  // --- keyboard: arrows move from row to row, right and left open and close the earlier runs ---

  private _focused(target: Element): void {
    const view = [...this._views.values()].find(view => view.element.contains(target));
    if (view !== undefined && view.index !== this._current) {
      this._current = view.index;
      this._render();
    }
  }

  private _key(event: KeyboardEvent): void {
    const step = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: MOST_ROWS,
      PageUp: -MOST_ROWS,
      Home: -Infinity,
      End: Infinity
    }[event.key];
    const view = [...this._views.values()].find(view => view.index === this._current);
    if (step !== undefined) {
      event.preventDefault();
      this._go(Math.min(this._rows.length - 1, Math.max(0, this._current + step)));
    } else if (view?.row && (event.key === 'ArrowRight' || event.key === 'ArrowLeft')) {
      const wanted = event.key === 'ArrowRight';
      if (
        view.row.group.runs.length > 1 &&
        wanted !== this._rows.isExpanded(view.row.group.key)
      ) {
        this._toggle(view.row.group.key);
      }
    }
  }

  private _go(index: number): void {
    this._current = index;
    const [top, bottom] = [
      index * ROW_HEIGHT,
      (index + 1) * ROW_HEIGHT - this._list.clientHeight
    ];
    this._list.scrollTop = Math.min(top, Math.max(bottom, this._list.scrollTop));
    this._render();
    [...this._views.values()].find(view => view.index === index)?.focus();
  }
}

/** The last metric of each run, kept while they grow. */
class LastMetrics {
  private readonly _byCell = new Map<number, Metric[]>();
  private _next = 0;

  update(metrics: readonly Metric[]): void {
    for (; this._next < metrics.length; this._next++) {
      const metric = metrics[this._next];
      if (metric.cell !== null && isResult(metric)) {
        const own = this._byCell.get(metric.cell) ?? [];
        own.push(metric);
        this._byCell.set(metric.cell, own);
      }
    }
  }

  of(number: number): Metric | null {
    const own = this._byCell.get(number);
    return own ? standingFor(own) : null;
  }

  clear(): void {
    this._byCell.clear();
    this._next = 0;
  }
}

/**
 * Of some metrics the one that is told: the last of which more is better, or the last. Of several
 * runs (trials, folds, seeds) it is their best.
 */
export function standingFor(own: readonly Metric[]): Metric {
  const last = lastOf(own, ({ direction }) => direction === 'higher') ?? own[own.length - 1];
  const alike = own.filter(({ name }) => name === last.name);
  if (last.direction === null || new Set(alike.map(({ run }) => run)).size === 1) {
    return last;
  }
  const sign = last.direction === 'lower' ? -1 : 1;
  const finite = alike.filter(({ value }) => Number.isFinite(value));
  return finite.reduce(
    (best, one) => (sign * one.value > sign * best.value ? one : best),
    finite[0] ?? last
  );
}

interface Facts {
  state: State;
  session: Session;
  metric: Metric | null;
}

/** The elements of one row; they stay while it changes. */
class RowView {
  readonly element: HTMLElement;
  index = -1;
  row: Row | null = null;
  private _facts: Facts | null = null;
  private readonly _t: Context['translate'];
  private readonly _number = h('span', { class: 'jg-n', role: 'cell' });
  private readonly _label: HTMLElement;
  private readonly _runs: HTMLButtonElement;
  private readonly _bar = h('i');
  private readonly _energy = h('span', {
    class: 'jg-e',
    role: 'cell',
    'data-figure': 'cell-energy'
  });
  private readonly _bound = h('span', {
    class: 'jg-bound',
    role: 'cell',
    'data-figure': 'cell-bound'
  });
  private readonly _time = h('span', {
    class: 'jg-t',
    role: 'cell',
    'data-figure': 'cell-duration'
  });
  private readonly _carbon = h('span', {
    class: 'jg-c',
    role: 'cell',
    'data-figure': 'cell-co2'
  });
  private readonly _metric = h('span', {
    class: 'jg-m',
    role: 'cell',
    'data-figure': 'cell-metric'
  });
  private readonly _mark = h('span', {
    class: 'jg-mark',
    role: 'cell',
    'data-figure': 'cell-mark'
  });

  constructor(context: Context, toggle: (key: string) => void) {
    const t = (this._t = context.translate);
    const go = context.actions.goToCell;
    this._label = button('', () => go?.(this.row!.run.cell), {
      class: 'jg-label',
      'aria-disabled': go ? null : 'true'
    });
    this._runs = button('', () => toggle(this.row!.group.key), {
      class: 'jg-runs',
      title: t('Earlier runs of this cell')
    });
    const name = h('span', { class: 'jg-name', role: 'cell' }, this._label, this._runs);
    const bar = h('span', { class: 'jg-bar', role: 'presentation' }, this._bar);
    this.element = h(
      'div',
      { class: 'jg-cell', role: 'row' },
      this._number,
      name,
      this._energy,
      this._time,
      this._metric,
      bar,
      this._bound,
      this._carbon,
      this._mark
    );
    for (const near of ['pointerenter', 'focusin']) {
      this.element.addEventListener(near, () => this._describe());
    }
  }

  /** All that is known of the run; made when somebody comes near, as it costs more than the row. */
  private _describe(): void {
    attribute(this.element, 'title', this._title(this.row!, this._facts!));
  }

  focus(): void {
    this._label.focus({ preventScroll: true });
  }

  update(row: Row, index: number, current: boolean, expanded: boolean, facts: Facts): void {
    this._move(row, index, current, expanded);
    const { run } = row;
    const energy = energyOf(run);
    const category = facts.session.ledger.category_of.get(run.number) ?? '';
    attribute(this.element, 'class', `jg-cell ${kindOf(run, category, row.earlier)}`);
    text(this._number, isOpen(run) ? '[*]' : `[${run.execution_count ?? ' '}]`);
    const label = clean(labelOf(run).slice(0, LONGEST_LABEL)) || this._t('(no text)');
    text(this._label, label);
    this._figures(run, energy, facts);
    text(this._mark, this._markOf(run, category));
    this._facts = facts;
    if (this.element.title !== '') {
      this._describe();
    }
  }

  private _move(row: Row, index: number, current: boolean, expanded: boolean): void {
    if (this.row?.key !== row.key) {
      this.element.removeAttribute('title');
    }
    this.row = row;
    if (index !== this.index) {
      this.index = index;
      this.element.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    }
    attribute(this.element, 'aria-rowindex', index + 1);
    attribute(this.element, 'data-number', row.run.number);
    const runs = row.group.runs.length;
    const several = runs > 1 && !row.earlier;
    show(this._runs, several);
    text(this._runs, `×${runs}`);
    attribute(this._runs, 'aria-expanded', String(expanded));
    attribute(this._label, 'tabindex', current ? 0 : -1);
    attribute(this._runs, 'tabindex', current ? 0 : -1);
  }

  private _figures(run: Run, energy: Energy, { state, session, metric }: Facts): void {
    const t = this._t;
    const nothingYet = isOpen(run) && energy.total_uj === 0;
    text(this._energy, nothingYet ? '…' : energyWords(energy, state.units, t));
    text(this._bound, nothingYet ? '' : boundWords(energy, t));
    text(this._time, columnTime(secondsOf(run, session.duration_s)));
    const grams = co2G(session, energy);
    text(
      this._carbon,
      grams === null || nothingYet
        ? ''
        : `${energy.missing.length ? '≥ ' : ''}${formatCo2(grams)}`
    );
    text(this._metric, metric === null ? '' : metricWords(metric));
    const part = share(session, energy) ?? 0;
    style(this._bar, 'width', `${(Math.min(1, part) * 100).toFixed(1)}%`);
  }

  private _markOf(run: Run, category: string): string {
    const t = this._t;
    if (isOpen(run)) {
      return t('running');
    }
    return statusWords(run, t) || (category === 'superseded' ? t('superseded') : '');
  }

  private _title(row: Row, { session, metric }: Facts): string {
    const t = this._t;
    const { run, group } = row;
    const energy = energyOf(run);
    const category = session.ledger.category_of.get(run.number) ?? '';
    const part = share(session, energy);
    const at = group.runs.indexOf(run) + 1;
    const lines = [
      this._label.textContent,
      joined([
        energyTitle(energy, t),
        part === null ? null : t('%1 of the session', shareText(part))
      ]),
      joined([
        formatDuration(secondsOf(run, session.duration_s)),
        this._carbon.textContent && `${this._carbon.textContent} CO₂e`,
        category && t(category)
      ]),
      purposeWords(run, t),
      metric && metricWords(metric),
      group.runs.length > 1 ? t('run %1 of %2', at, group.runs.length) : null,
      run.thread !== 'main'
        ? clean(run.thread)
        : run.parent !== null
          ? t('nested: not added')
          : null,
      ...(isOpen(run) ? [] : deviceNotes(run.devices_busy, run.devices_shared, t))
    ];
    return joined(lines, '\n');
  }
}

function deviceNotes(
  busy: readonly string[],
  shared: readonly string[],
  t: Context['translate']
): string[] {
  return [
    ...(busy.length ? [t('%1 still busy at its end', busy.map(clean).join(', '))] : []),
    ...(shared.length ? [t('%1 shared with others', shared.map(clean).join(', '))] : [])
  ];
}

function kindOf(run: Run, category: string, earlier: boolean): string {
  if (isOpen(run)) {
    return 'jg-run';
  }
  const kind = category === 'superseded' ? 'jg-old' : run.status === 'ok' ? '' : 'jg-err';
  return `${kind}${earlier ? ' jg-earlier' : ''}`;
}
