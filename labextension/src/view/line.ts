/** The live line: watts over time, stacked by source, the time between cells shaded. */

import uPlot from 'uplot';

import type { State } from '../feed/panel';
import type { Session } from '../session/model';
import { formatDuration, formatPower } from '../session/units';
import type { Context, Section } from './context';
import { h, HiddenTable, Keyed, select, show, style, text } from './dom';
import {
  idleStretches,
  powerSeries,
  roundTimes,
  sourcesOf,
  stepFor,
  type Series,
  type Source
} from './power';
import { DASH, deviceName, timeLabel } from './words';

const WINDOW_S = 300;
const FONT = '10px system-ui, sans-serif';
const MINUTE = 60;
const HOUR = 3600;
/** Between the labels of the time; those of uPlot are decimal. */
const TIME_STEPS_S = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map(minutes => minutes * MINUTE),
  ...[1, 2, 3, 6, 12, 24, 48, 96, 168].map(hours => hours * HOUR)
];
/** Of the width, at either edge: a label there would be cut. */
const EDGE = 0.06;
const PALETTE = ['cpu', 'dram'];
const GPU_COLOURS = 4;

export function line(context: Context): Section & { restyle(): void } {
  return new Line(context);
}

class Line implements Section {
  readonly element: HTMLElement;
  private readonly _chart = h('div', { class: 'jg-chart', 'aria-hidden': 'true' });
  private readonly _keys: Keyed<Key>;
  private readonly _table: HiddenTable<[seconds: number, power_w: number | null]>;
  private readonly _resized: ResizeObserver;
  private _plot: uPlot | null = null;
  private readonly _colours = new Map<string, string>();
  private _plotted = '';
  private _whole = false;
  private _sources: Source[] = [];
  private _series: Series | null = null;
  private _idle: [number, number][] = [];
  private _shown: [State, Session] | null = null;

  constructor(private readonly _context: Context) {
    const t = _context.translate;
    const keys = h('ul', { class: 'jg-keys', 'aria-label': t('Power by source') });
    this._keys = new Keyed<Key>(keys, makeKey, updateKey);
    this._table = new HiddenTable(
      t('Power over time'),
      [t('time'), t('power')],
      ([seconds, power_w]) => [formatDuration(Math.round(seconds)), watts(power_w)]
    );
    const choice = select(
      t('Time that the power line shows'),
      [
        ['', t('5 min')],
        ['whole', t('whole session')]
      ],
      value => this._choose(value === 'whole')
    );
    const caption = h('div', { class: 'jg-caption' }, keys, choice);
    this.element = h('div', { class: 'jg-line' }, this._chart, caption, this._table.element);
    this._resized = new ResizeObserver(() => this._resize());
    this._resized.observe(this._chart);
  }

  update(state: State, session: Session): void {
    this._shown = [state, session];
    this._sources = sourcesOf(session);
    show(this.element, this._sources.length > 0);
    if (this._sources.length === 0) {
      return;
    }
    const end = session.duration_s;
    const since = this._whole ? 0 : Math.max(0, end - WINDOW_S);
    const step = stepFor(this._whole ? end : WINDOW_S);
    this._series = powerSeries(session.trace, this._sources, since, step);
    this._idle = idleStretches(session, since, end, step / 2);
    this._draw(since, Math.max(end, since + 1));
    this._tell(null);
    this._table.update(this._points());
  }

  /** Colours are read again. */
  restyle(): void {
    this._colours.clear();
    this._plot?.redraw(false);
  }

  dispose(): void {
    this._resized.disconnect();
    this._table.dispose();
    this._plot?.destroy();
  }

  private _choose(whole: boolean): void {
    this._whole = whole;
    if (this._shown !== null) {
      this.update(...this._shown);
    }
  }

  private _draw(since: number, until: number): void {
    const series = this._series!;
    const names = this._sources.map(source => source.key).join();
    if (this._plot === null || this._plotted !== names) {
      this._plot?.destroy();
      this._plotted = names;
      this._plot = this._make();
    }
    // The top of the stack is painted first, and what lies below it over it.
    const data = [series.t, ...[...series.stacked].reverse()] as uPlot.AlignedData;
    this._plot.batch(() => {
      this._plot!.setData(data, false);
      this._plot!.setScale('x', { min: since, max: until });
      this._plot!.setScale('y', { min: 0, max: Math.max(1, series.highest * 1.08) });
    });
  }

  private _make(): uPlot {
    const stepped = uPlot.paths.stepped!({ align: -1 });
    const areas = this._sources.map((_, index) => {
      const colour = (): string => this._colour(`--jg-${colourOf(this._sources, index)}`);
      return {
        stroke: colour,
        fill: colour,
        width: 0,
        paths: stepped,
        points: { show: false }
      };
    });
    const options: uPlot.Options = {
      width: this._chart.clientWidth || 300,
      height: this._chart.clientHeight || 96,
      padding: [6, 0, 1, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, auto: false }, y: { auto: false } },
      series: [{}, ...areas.reverse()],
      axes: [this._times(), this._axis()],
      hooks: {
        drawClear: [plot => this._shade(plot)],
        setCursor: [plot => this._tell(plot.cursor.idx ?? null)]
      }
    };
    return new uPlot(options, [[]], this._chart);
  }

  /** A few labels, quietly: when it was, counted from the start of the session. */
  private _times(): uPlot.Axis {
    return {
      size: 15,
      font: FONT,
      gap: 2,
      space: 64,
      incrs: TIME_STEPS_S,
      splits: (_plot, _axis, min, max, step) => roundTimes(min, max, step),
      stroke: () => this._colour('--jg-dim'),
      grid: { show: false },
      ticks: { show: false },
      filter: (plot, splits) => splits.map(at => (hasRoom(plot, at) ? at : null)),
      values: (_, splits) => splits.map(at => (at === null ? '' : timeLabel(at)))
    };
  }

  private _axis(): uPlot.Axis {
    return {
      size: (_, values) => 10 + 6 * Math.max(2, ...(values ?? []).map(value => value.length)),
      font: FONT,
      gap: 3,
      space: 30,
      stroke: () => this._colour('--jg-dim'),
      grid: { stroke: () => this._colour('--jg-rule'), width: 1 },
      ticks: { show: false },
      values: (_, splits) => splits.map(watts => (watts === 0 ? '' : formatPower(watts)))
    };
  }

  private _shade(plot: uPlot): void {
    const { ctx, bbox } = plot;
    ctx.fillStyle = this._colour('--jg-idle');
    for (const [since, until] of this._idle) {
      const left = Math.max(bbox.left, plot.valToPos(since, 'x', true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(until, 'x', true));
      ctx.fillRect(left, bbox.top, Math.max(0, right - left), bbox.height);
    }
  }

  /** Asked for once a theme: the answer costs a layout. */
  private _colour(name: string): string {
    const known = this._colours.get(name);
    if (known !== undefined) {
      return known;
    }
    const colour = getComputedStyle(this.element).getPropertyValue(name).trim();
    if (colour !== '') {
      this._colours.set(name, colour);
    }
    return colour;
  }

  private _resize(): void {
    const { clientWidth: width, clientHeight: height } = this._chart;
    const plot = this._plot;
    if (plot !== null && width > 0 && (width !== plot.width || height !== plot.height)) {
      plot.setSize({ width, height });
    }
  }

  /** The watts of each source, at the cursor or else at the end. */
  private _tell(index: number | null): void {
    const t = this._context.translate;
    const series = this._series!;
    const [state, session] = this._shown!;
    const live = state.phase === 'live' && !session.paused;
    const keys: Key[] = this._sources.map((source, at) => {
      const now = live ? series.last[at] : undefined;
      const watts = index === null ? now : ownWatts(series, at, index);
      const name =
        source.key === 'cpu'
          ? t('CPU')
          : source.key === 'dram'
            ? t('DRAM')
            : deviceName(source.key);
      return { key: source.key, name, watts, colour: colourOf(this._sources, at) };
    });
    const idle: Key = { key: ' idle', name: t('idle'), watts: undefined, colour: '' };
    const shaded = this._idle.length > 0 ? [idle] : [];
    this._keys.update([...keys.reverse(), ...shaded], key => key.key);
  }

  private _points(): [number, number | null][] {
    const { t, stacked } = this._series!;
    const top = stacked[stacked.length - 1];
    return t.slice(1).map((seconds, index) => [seconds, top[index + 1]]);
  }
}

function hasRoom(plot: uPlot, at: number): boolean {
  const { min, max } = plot.scales.x;
  const place = (at - min!) / (max! - min!);
  return place > EDGE && place < 1 - EDGE;
}

interface Key {
  key: string;
  name: string;
  /** Null: not known; undefined: has none. */
  watts: number | null | undefined;
  colour: string;
}

function makeKey(key: Key): HTMLElement {
  const swatch = h('i', { class: key.colour ? null : 'jg-swatch' });
  if (key.colour) {
    style(swatch, 'background', `var(--jg-${key.colour})`);
  }
  return h('li', {}, swatch, h('span', {}, key.name), h('b'));
}

function updateKey(element: HTMLElement, key: Key): void {
  text(element.lastElementChild!, key.watts === undefined ? '' : watts(key.watts));
}

const watts = (value: number | null | undefined): string =>
  typeof value === 'number' ? formatPower(value) : DASH;

function colourOf(sources: readonly Source[], index: number): string {
  const { key } = sources[index];
  const others = sources.filter(source => !PALETTE.includes(source.key));
  return PALETTE.includes(key) ? key : `gpu-${others.indexOf(sources[index]) % GPU_COLOURS}`;
}

function ownWatts(series: Series, source: number, index: number): number | null {
  const top = series.stacked[source][index] ?? null;
  return top === null || source === 0 ? top : top - (series.stacked[source - 1][index] ?? 0);
}
