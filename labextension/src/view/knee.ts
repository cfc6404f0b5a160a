/**
 * Where more energy stops paying: the knee of a learning curve.
 *
 * The knee is the point of the best-so-far curve that lies farthest from its chord, both axes
 * scaled to one (Kneedle: Satopaa et al., "Finding a 'Kneedle' in a Haystack", 2011). It is told
 * only where it holds clearly: from six points on, with two at least behind it, when the part
 * behind it took MOST_OF_ENERGY or more for LITTLE_GAIN or less of all that was gained.
 */

export interface Point {
  /** Cumulative energy. */
  x: number;
  y: number;
}

export interface Knee {
  index: number;
  /** Share of the energy, of one, that was used after the knee. */
  energyShare: number;
  /** What was gained after the knee, in units of the metric, never negative. */
  gain: number;
}

export const FEWEST_POINTS = 6;
export const MOST_OF_ENERGY = 0.4;
export const LITTLE_GAIN = 0.2;

/** The knee of points in the order of their energy, all finite; null where none is clear. */
export function findKnee(points: readonly Point[], lowerIsBetter: boolean): Knee | null {
  if (points.length < FEWEST_POINTS) {
    return null;
  }
  const sign = lowerIsBetter ? -1 : 1;
  const best = runningBest(points.map(point => sign * point.y));
  const last = points.length - 1;
  const width = points[last].x - points[0].x;
  const height = best[last] - best[0];
  if (!(width > 0 && height > 0)) {
    return null;
  }
  const along = (index: number): number => (points[index].x - points[0].x) / width;
  const index = farthest(points, index => (best[index] - best[0]) / height - along(index));
  const gain = best[last] - best[index];
  const energyShare =
    points[last].x > 0 ? (points[last].x - points[index].x) / points[last].x : 0;
  const clear =
    last - index >= 2 && energyShare >= MOST_OF_ENERGY && gain <= LITTLE_GAIN * height;
  return clear ? { index, energyShare, gain } : null;
}

/** The largest value up to each one. */
export function runningBest(values: readonly number[]): number[] {
  let best = -Infinity;
  return values.map(value => (best = Math.max(best, value)));
}

function farthest(points: readonly Point[], distance: (index: number) => number): number {
  let found = 0;
  points.forEach((_, index) => {
    if (distance(index) > distance(found)) {
      found = index;
    }
  });
  return found;
}
