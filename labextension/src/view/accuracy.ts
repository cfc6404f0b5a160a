/** Accuracy beside energy: a logged metric over the energy that its run has taken. */

import type { State } from '../feed/panel';
import type { Metric, Session } from '../session/model';
import { formatEnergy } from '../session/units';
import type { Context, Section } from './context';
import {
  chooseMetric,
  kneeSentence,
  lastOf,
  metricNames,
  pointsSentence,
  type Curve,
  type CurvePoint
} from './curves';
import { h, HiddenTable, select, setOptions, show, svg, text } from './dom';
import { clean, joined, metricText, shareText } from './words';

const HEIGHT = 116;
const MARGIN = { top: 8, right: 10, bottom: 18, left: 44 };
const MOST_CURVES = 6;
const MOST_DOTS = 80;
const ROOM_FOR_WORDS = 150;

export function accuracy(context: Context): Section {
  return new Accuracy(context);
}

class Accuracy implements Section {
  readonly element: HTMLElement;
  private readonly _t: Context['translate'];
  private readonly _about = h('span', { class: 'jg-dim jg-about' });
  private readonly _chart = h('div', { class: 'jg-learn', tabindex: 0, role: 'img' });
  private readonly _tip = h('div', { class: 'jg-tip', hidden: true });
  private readonly _knee = h('p', { class: 'jg-knee' });
  private readonly _notes = h('p', { class: 'jg-dim jg-notes' });
  private readonly _names: HTMLSelectElement;
  private readonly _table: HiddenTable<[Curve, CurvePoint]>;
  private readonly _resized: ResizeObserver;
  private _chosen: string | null = null;
  private _curves: Curve[] = [];
  private _shown: [State, Session] | null = null;
  private _drawn = '';
  private _scale: Scale | null = null;
  private _at = -1;

  constructor(private readonly _context: Context) {
    const t = (this._t = _context.translate);
    this._names = select(t('Metric'), [], name => this._choose(name));
    this._table = new HiddenTable(
      t('Metric over energy'),
      [t('run'), t('step'), t('energy'), t('value')],
      ([curve, point]) => this._rowOf(curve, point)
    );
    const heading = h('h4', {}, t('Accuracy beside energy'));
    this.element = h(
      'section',
      { 'aria-label': t('Accuracy beside energy') },
      h('header', { class: 'jg-heading' }, heading, this._about, this._names),
      h('div', { class: 'jg-chart' }, this._chart, this._knee, this._tip),
      this._notes,
      this._table.element
    );
    this._chart.addEventListener('pointermove', event => this._point(event.offsetX));
    this._chart.addEventListener('pointerleave', () => this._tell(-1));
    this._chart.addEventListener('blur', () => this._tell(-1));
    this._chart.addEventListener('keydown', event => this._key(event));
    this._resized = new ResizeObserver(() => this._draw());
    this._resized.observe(this._chart);
  }

  update(state: State, session: Session): void {
    this._shown = [state, session];
    const names = metricNames(session.metrics);
    show(this.element, names.length > 0);
    if (names.length === 0) {
      return;
    }
    const name = names.find(name => name === this._chosen) ?? chooseMetric(session.metrics)!;
    this._offer(names, name);
    const curves = this._context.curves.of(state.version, session.metrics, name);
    this._curves = curves.slice(-MOST_CURVES);
    this._words(session.metrics, name);
    show(this._chart, this._curves.at(-1)!.points.length > 1);
    this._draw();
  }

  dispose(): void {
    this._resized.disconnect();
    this._table.dispose();
  }

  private _choose(name: string): void {
    this._chosen = name;
    this.update(...this._shown!);
  }

  private _offer(names: readonly string[], name: string): void {
    const sorted = [...names].sort();
    if (sorted.join('\n') !== [...this._names.options].map(option => option.value).join('\n')) {
      setOptions(
        this._names,
        sorted.map(name => [name, clean(name)])
      );
    }
    this._names.value = name;
    show(this._names, names.length > 1);
  }

  private _energy(uj: number): string {
    return formatEnergy(uj, this._shown![0].units);
  }

  // --- words ---

  private _words(metrics: readonly Metric[], name: string): void {
    const t = this._t;
    const curve = this._curves[this._curves.length - 1];
    const last = lastOf(metrics, metric => metric.name === name)!;
    const step = last.step === null ? null : t('step %1', metricText(last.step));
    const only = this._names.hidden ? clean(name) : null;
    text(this._about, joined([only, curve.run, step]));
    const cost = pointsSentence(curve, uj => this._energy(uj), t);
    const best =
      curve.best && curve.lower !== null
        ? t('best %1 at %2', metricText(curve.best.y), this._energy(curve.best.x))
        : null;
    text(this._notes, joined([best, cost?.short ?? null, ...this._doubts()]));
    this._chart.setAttribute(
      'aria-label',
      joined([clean(name), best, cost?.long ?? null, this._kneeWords()])
    );
    this._table.update(
      this._curves.flatMap(curve =>
        curve.points.map(point => [curve, point] as [Curve, CurvePoint])
      )
    );
  }

  private _doubts(): (string | null)[] {
    const t = this._t;
    const notFinite = this._curves.reduce((sum, curve) => sum + curve.notFinite, 0);
    const without = this._curves.reduce((sum, curve) => sum + curve.withoutEnergy, 0);
    return [
      notFinite > 0 ? t('%1 not finite, not drawn', notFinite) : null,
      without > 0 ? t('%1 without energy, not drawn', without) : null,
      this._curves.at(-1)!.lower === null ? t('whether more is better is not known') : null
    ];
  }

  private _kneeWords(): string | null {
    const curve = this._curves.at(-1)!;
    return curve.knee && kneeSentence(curve, shareText, this._t);
  }

  private _rowOf(curve: Curve, point: CurvePoint): string[] {
    return [
      curve.run || (curve.cell === null ? '' : String(curve.cell)),
      point.step === null ? '' : metricText(point.step),
      this._energy(point.x),
      metricText(point.y)
    ];
  }

  // --- drawing ---

  private _draw(): void {
    const width = this._chart.clientWidth;
    if (width === 0 || this._curves.length === 0) {
      return;
    }
    const drawn = [width, this._shown![0].units, ...this._curves.map(signature)].join();
    if (drawn === this._drawn) {
      return;
    }
    this._drawn = drawn;
    const points = this._curves.flatMap(curve => curve.points);
    const scale = (this._scale = new Scale(points, width));
    const chart = svg('svg', { width, height: HEIGHT, 'aria-hidden': 'true' });
    const last = this._curves.at(-1)!;
    chart.append(...this._knees(last, scale), ...this._axes(scale));
    this._curves.forEach(curve => chart.append(...drawCurve(curve, scale, curve === last)));
    this._chart.replaceChildren(chart);
    this._tell(-1);
  }

  private _knees(curve: Curve, scale: Scale): SVGElement[] {
    show(this._knee, curve.knee !== null);
    if (curve.knee === null) {
      return [];
    }
    const left = scale.x(curve.points[curve.knee.index].x);
    const right = scale.x(curve.points.at(-1)!.x);
    const inside = right - left >= ROOM_FOR_WORDS;
    text(this._knee, this._kneeWords()!);
    this._knee.classList.toggle('jg-inside', inside);
    this._knee.style.left = inside ? `${left + 6}px` : '';
    this._knee.style.width = inside ? `${right - left - 10}px` : '';
    this._knee.style.top = inside && curve.lower ? `${MARGIN.top + 3}px` : '';
    this._knee.style.bottom = inside && !curve.lower ? `${MARGIN.bottom + 3}px` : '';
    const height = HEIGHT - MARGIN.top - MARGIN.bottom;
    return [
      svg('rect', { class: 'jg-shade', x: left, y: MARGIN.top, width: right - left, height })
    ];
  }

  private _axes(scale: Scale): SVGElement[] {
    const base = HEIGHT - MARGIN.bottom;
    const right = scale.width - MARGIN.right;
    const label = (x: number, y: number, words: string, anchor: string): SVGElement =>
      svg('text', { x, y, 'text-anchor': anchor }, words);
    return [
      svg('line', { x1: MARGIN.left, x2: right, y1: base, y2: base }),
      label(MARGIN.left, HEIGHT - 5, '0', 'start'),
      label(right, HEIGHT - 5, this._energy(scale.most), 'end'),
      label(MARGIN.left - 6, MARGIN.top + 8, axisText(scale.high), 'end'),
      scale.low === scale.high
        ? null
        : label(MARGIN.left - 6, base - 1, axisText(scale.low), 'end')
    ].filter(element => element !== null);
  }

  // --- the value at the pointer ---

  private _point(x: number): void {
    const points = this._curves.at(-1)?.points ?? [];
    const distance = (point: CurvePoint): number => Math.abs(this._scale!.x(point.x) - x);
    let nearest = -1;
    points.forEach((point, index) => {
      if (nearest < 0 || distance(point) < distance(points[nearest])) {
        nearest = index;
      }
    });
    this._tell(nearest);
  }

  private _key(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const count = this._curves.at(-1)?.points.length ?? 0;
    if (step !== undefined && count > 0) {
      event.preventDefault();
      this._tell(Math.min(count - 1, Math.max(0, this._at + step)));
    }
  }

  private _tell(index: number): void {
    this._at = index;
    const point = this._curves.at(-1)?.points[index];
    show(this._tip, point !== undefined);
    if (point !== undefined && this._scale !== null) {
      const step = point.step === null ? null : this._t('step %1', metricText(point.step));
      text(this._tip, joined([step, metricText(point.y), this._energy(point.x)]));
      const x = this._scale.x(point.x);
      const near = x > this._scale.width / 2;
      this._tip.style.left = near ? '' : `${x + 8}px`;
      this._tip.style.right = near ? `${this._scale.width - x + 8}px` : '';
      this._tip.style.top = `${Math.min(HEIGHT - 44, Math.max(0, this._scale.y(point.y) + 6))}px`;
    }
  }
}

/** What the margin has room for. */
function axisText(value: number): string {
  const words = metricText(value, 3);
  return words.length <= 6 ? words : value.toExponential(1).replace('e+', 'e');
}

/** From energy and value to pixels. */
class Scale {
  readonly most: number;
  readonly low: number;
  readonly high: number;

  constructor(
    points: readonly CurvePoint[],
    readonly width: number
  ) {
    this.most = points.reduce((most, { x }) => Math.max(most, x), 0);
    this.low = points.reduce((low, { y }) => Math.min(low, y), Infinity);
    this.high = points.reduce((high, { y }) => Math.max(high, y), -Infinity);
  }

  x(uj: number): number {
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + (this.most > 0 ? (uj / this.most) * room : 0);
  }

  y(value: number): number {
    const room = HEIGHT - MARGIN.top - MARGIN.bottom - 8;
    const share = this.high > this.low ? (value - this.low) / (this.high - this.low) : 0.5;
    return MARGIN.top + 3 + (1 - share) * room;
  }
}

/** Changes with whatever can be seen of a curve. */
function signature({ key, metric, points, knee }: Curve): string {
  const sum = points.reduce((sum, { x, y }) => sum + x + y, 0);
  return `${key} ${metric} ${points.length} ${sum} ${knee?.index}`;
}

function drawCurve(curve: Curve, scale: Scale, last: boolean): SVGElement[] {
  const kind = last ? 'jg-curve' : 'jg-curve jg-other';
  const points = curve.points;
  const path = points
    .map(({ x, y }) => `${scale.x(x).toFixed(1)},${scale.y(y).toFixed(1)}`)
    .join(' ');
  const dots = points.length > MOST_DOTS ? [] : points;
  return [
    svg('polyline', { class: kind, points: path }),
    ...dots.map(point =>
      svg('circle', {
        class: kind,
        cx: scale.x(point.x),
        cy: scale.y(point.y),
        r: point === curve.best ? 3.5 : 2.2
      })
    )
  ];
}
