/** Figures that follow from a session. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as figures from './figures';
import { Fold } from './fold';
import type { Session } from './model';
import { counter, lines, started } from './testing/journals';

const LAGS = { a: [0, 40e6] };

function session(...events: object[]): Session {
  const fold = new Fold();
  const pricing = { pue: 1.5, price_per_kwh: 0.3 };
  fold.feedLines(lines([started([counter('a')], { uj: { a: 0 }, pricing }), ...events]));
  return fold.session();
}

const CELL = [
  {
    kind: 'cell_started',
    t: 10,
    uj: { a: 0 },
    error_uj: LAGS,
    number: 1,
    cell: 'c',
    first_line: 'x'
  },
  { kind: 'metric_logged', t: 11, name: 'accuracy', value: 0.9, cell: 1 },
  { kind: 'metric_logged', t: 11, name: 'elsewhere', value: 0.9 },
  { kind: 'cell_finished', t: 14, uj: { a: 36e6 }, error_uj: LAGS, number: 1, status: 'ok' }
];
const place = (basis: string) => ({
  kind: 'intensity_changed',
  t: 20,
  uj: { a: 36e6 },
  intensity: { g_per_kwh: 400, place: 'here', basis }
});

test('figures of a cell', () => {
  const told = session(...CELL);
  const [cell] = told.cells;
  assert.equal(figures.energyJ(cell!.energy), 36);
  assert.equal(figures.durationS(cell!), 4);
  assert.equal(figures.powerW(cell!), 9);
  assert.equal(figures.boundJ(cell!.energy), cell!.energy.bound_uj / 1e6);
  assert.equal(figures.labelOf(cell!), 'x');
  assert.equal(figures.ownsTime(cell!), true);
  assert.equal(figures.share(told, cell!.energy), 1);
  assert.deepEqual(
    figures.metricsOf(told, 1).map(metric => metric.name),
    ['accuracy']
  );
});

test('a cell that is short for its counters says so, unless it lacks one', () => {
  const { energy } = session(...CELL).cells[0]!;
  assert.equal(figures.belowResolution(energy), true);
  assert.equal(figures.belowResolution({ ...energy, lag_uj: 1e6 }), false);
  assert.equal(figures.atLeast({ ...energy, missing: ['a'] }), true);
  assert.equal(figures.belowResolution({ ...energy, missing: ['a'] }), false);
  assert.equal(figures.belowResolution({ ...energy, total_uj: null }), false);
});

test('a place that is set late counts from the start; bases are never mixed', () => {
  assert.equal(figures.co2G(session(...CELL), session(...CELL).total), null);
  const late = session(...CELL, place('lifecycle'));
  assert.equal(figures.co2G(late, late.total), (36 / 3.6e6) * 1.5 * 400);
  const mixed = session(...CELL, place('lifecycle'), place('direct'));
  assert.equal(figures.co2G(mixed, mixed.total), null);
  assert.equal(figures.intensityOf(mixed)?.basis, 'direct');
});

test('a price holds for its own currency', () => {
  const told = session(...CELL);
  assert.equal(figures.cost(told, told.total), (36 / 3.6e6) * 1.5 * 0.3);
  const pricing = { price_per_kwh: 0.3, currency: 'CHF' };
  const moved = session(...CELL, { kind: 'pricing_changed', t: 20, pricing });
  assert.equal(figures.cost(moved, moved.total), null);
  assert.equal(figures.pricingOf(moved).currency, 'CHF');
});

test('wall time goes on in suspend', () => {
  const told = session({ kind: 'clock_anchored', t: 5, wall_s: 1, suspended_s: 60 });
  assert.equal(figures.wallAt(told, 4) - told.started_wall_s, 4);
  assert.equal(figures.wallAt(told, 5) - told.started_wall_s, 65);
});

test('nothing is said of nothing', () => {
  const fold = new Fold();
  fold.feed(started([]));
  const told = fold.session();
  assert.equal(figures.energyJ(told.total), null);
  assert.equal(figures.share(told, told.total), null);
});
