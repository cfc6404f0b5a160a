/** Logged metrics as curves over the energy that they took: one curve a run. */

import type { Metric } from '../session/model';
import { findKnee, type Knee, type Point } from './knee';
import { clean, metricText, type Translate } from './words';

export interface CurvePoint extends Point {
  /** Microjoules since the run began. */
  x: number;
  step: number | null;
}

export interface Curve {
  metric: string;
  key: string;
  /** The run's name; empty where it has none. */
  run: string;
  cell: number | null;
  /** Whether lower is better; null: not known. */
  lower: boolean | null;
  /** Finite values with a known energy, in the order of their energy. */
  points: CurvePoint[];
  /** The first best one; the last one where the direction is not known. */
  best: CurvePoint | null;
  knee: Knee | null;
  notFinite: number;
  withoutEnergy: number;
}

/** What a metric tells of quality; studies log how often they did their work, too. */
export function isResult({ source }: Metric): boolean {
  return source !== 'study';
}

/** Names of the metrics, those that were logged last first. */
export function metricNames(metrics: readonly Metric[]): string[] {
  const names = new Set<string>();
  for (let index = metrics.length - 1; index >= 0; index--) {
    if (isResult(metrics[index])) {
      names.add(metrics[index].name);
    }
  }
  return [...names];
}

/** The metric to show unless another is asked for: one of which more is better, logged last. */
export function chooseMetric(metrics: readonly Metric[]): string | null {
  const higher = lastOf(metrics, metric => metric.direction === 'higher');
  return (higher ?? lastOf(metrics, () => true))?.name ?? null;
}

/** The curves of a session as it is now, made once for all who show them. */
export class Curves {
  private _version = -1;
  private readonly _byName = new Map<string, Curve[]>();

  of(version: number, metrics: readonly Metric[], name: string): Curve[] {
    if (version !== this._version) {
      this._version = version;
      this._byName.clear();
    }
    const curves = this._byName.get(name) ?? mainLast(curvesOf(metrics, name));
    this._byName.set(name, curves);
    return curves;
  }
}

/** The last metric of which something holds. */
export function lastOf(
  metrics: readonly Metric[],
  holds: (metric: Metric) => boolean
): Metric | undefined {
  for (let index = metrics.length - 1; index >= 0; index--) {
    if (isResult(metrics[index]) && holds(metrics[index])) {
      return metrics[index];
    }
  }
  return undefined;
}

/** The curves of one metric, in the order in which the runs began. */
export function curvesOf(metrics: readonly Metric[], name: string): Curve[] {
  const runs = new Map<string, Metric[]>();
  for (const metric of metrics) {
    if (metric.name === name && isResult(metric)) {
      const key = runOf(metric);
      const own = runs.get(key) ?? [];
      own.push(metric);
      runs.set(key, own);
    }
  }
  const origins = originsOf([...runs.values()]);
  return [...runs].map(([key, own], index) => curve(key, own, origins[index]));
}

/** The same, with the one that is told about at the end: the last that is a curve at all. */
function mainLast(curves: readonly Curve[]): Curve[] {
  const real = curves.filter(curve => curve.points.length > 1);
  const main = real.length > 0 ? real[real.length - 1] : curves[curves.length - 1];
  return [...curves.filter(curve => curve !== main), main];
}

/** Values with steps and without a run's name belong to their cell's run; single ones together. */
function runOf(metric: Metric): string {
  if (metric.run !== null) {
    return `run ${metric.run}`;
  }
  return metric.step === null ? '' : `cell ${metric.cell}`;
}

function curve(key: string, own: readonly Metric[], origin_uj: number): Curve {
  const first = own[0];
  const lower = first.direction === null ? null : first.direction === 'lower';
  const finite = own.filter(metric => Number.isFinite(metric.value));
  const points = finite.flatMap(metric => pointOf(metric, origin_uj));
  return {
    metric: first.name,
    key,
    run: first.run === null ? '' : clean(first.run),
    cell: first.cell,
    lower,
    points,
    best: bestOf(points, lower),
    knee: lower === null ? null : findKnee(points, lower),
    notFinite: own.length - finite.length,
    withoutEnergy: finite.length - points.length
  };
}

/**
 * Session energy at which each run began: with its cell, or, where one cell holds several named
 * ones after each other, when the one before it has logged its last value.
 */
function originsOf(runs: readonly (readonly Metric[])[]): number[] {
  const firsts = new Map(runs.map((own, index) => [own[0], index]));
  const lasts = new Set(runs.map(own => own[own.length - 1]));
  const origins = runs.map(originOf);
  const ended = new Map<number | null, number>();
  const inOrder = runs.flat().sort((one, other) => one.logged_s - other.logged_s);
  for (const metric of inOrder.filter(({ run }) => run !== null)) {
    const index = firsts.get(metric);
    if (index !== undefined) {
      origins[index] = Math.max(origins[index], ended.get(metric.cell) ?? 0);
    }
    if (lasts.has(metric) && metric.session_uj !== null) {
      ended.set(metric.cell, metric.session_uj);
    }
  }
  return origins;
}

/** Session energy at the start of the cell of a run's first value. */
function originOf(own: readonly Metric[]): number {
  const first = own.find(metric => metric.session_uj !== null);
  return first ? first.session_uj! - (first.cell_uj ?? 0) : 0;
}

function pointOf(metric: Metric, origin_uj: number): CurvePoint[] {
  return metric.session_uj === null
    ? []
    : [{ x: metric.session_uj - origin_uj, y: metric.value, step: metric.step }];
}

function bestOf(points: readonly CurvePoint[], lower: boolean | null): CurvePoint | null {
  if (lower === null) {
    return points[points.length - 1] ?? null;
  }
  const sign = lower ? -1 : 1;
  return points.reduce<CurvePoint | null>(
    (best, point) => (best === null || sign * point.y > sign * best.y ? point : best),
    null
  );
}

// --- what it cost ---

/** A fraction of one is told in points of a hundredth, anything else in its own ones. */
export function isFraction(curve: Curve): boolean {
  return curve.lower === false && curve.points.every(({ y }) => y >= 0 && y <= 1);
}

/** Energy from the first value to the best, for each point gained. */
export function pointsSentence(
  curve: Curve,
  energy: (uj: number) => string,
  t: Translate
): { short: string; long: string } | null {
  const [first, best] = [curve.points[0], curve.best];
  if (!first || !best || curve.lower === null || !(Math.abs(best.y - first.y) > 0)) {
    return null;
  }
  const unit = isFraction(curve) ? 0.01 : 1;
  const each = ((best.x - first.x) / Math.abs(best.y - first.y)) * unit;
  const per = isFraction(curve) ? t('point') : '1';
  return {
    short: t('%1 per %2', energy(each), per),
    long: t(
      'From the first value, %1, to the best, %2: %3 for each %4',
      metricText(first.y),
      metricText(best.y),
      energy(each),
      isFraction(curve) ? t('point of a hundredth') : t('1 gained')
    )
  };
}

/** `past the knee: 52 % of the energy for +0.4 points`. */
export function kneeSentence(
  curve: Curve,
  share: (share: number) => string,
  t: Translate
): string {
  const { energyShare, gain } = curve.knee!;
  const sign = curve.lower ? '−' : '+';
  const gained = isFraction(curve)
    ? t('%1%2 points', sign, metricText(gain * 100, 2))
    : `${sign}${metricText(gain, 2)}`;
  return t('past the knee: %1 of the energy for %2', share(energyShare), gained);
}
