import assert from 'node:assert/strict';
import test from 'node:test';
import {
  chooseMetric,
  Curves,
  curvesOf,
  kneeSentence,
  metricNames,
  pointsSentence
} from './curves';
import { standingFor } from './cells';
import { english, metric } from './testing/sessions';

const joules = (uj: number): string => `${uj / 1e6} J`;

test('a curve starts where its run began', () => {
  const [curve] = curvesOf(
    [
      metric(0.5, 30e6, { cell_uj: 10e6, step: 1 }),
      metric(0.7, 50e6, { cell_uj: 30e6, step: 2 })
    ],
    'acc'
  );
  assert.deepEqual(
    curve.points.map(point => point.x),
    [10e6, 30e6]
  );
  assert.equal(curve.best?.y, 0.7);
});

/** The energies of each run's points; values were logged in this order in one cell. */
function runsOf(...told: [string | null, number][]): Record<string, number[]> {
  const metrics = told.map(([run, uj], place) =>
    metric(0.5, uj, { run, step: place, logged_s: place, cell_uj: uj - 100 })
  );
  return Object.fromEntries(
    curvesOf(metrics, 'acc').map(({ run, points }) => [run, points.map(({ x }) => x)])
  );
}

test('of runs in one cell each begins where the one before has ended', () => {
  assert.deepEqual(runsOf(['a', 110], ['a', 120], ['b', 135], ['b', 150], ['c', 155]), {
    a: [10, 20],
    b: [15, 30],
    c: [5]
  });
});

test('runs that go on at once begin with their cell', () => {
  assert.deepEqual(runsOf(['a', 110], ['b', 120], ['a', 130], ['b', 140]), {
    a: [10, 30],
    b: [20, 40]
  });
  assert.deepEqual(runsOf([null, 110], ['b', 120]), { '': [10], b: [20] });
});

test('values that are not finite or have no energy are left out and counted', () => {
  const [curve] = curvesOf(
    [metric(NaN, 1), metric(Infinity, 2), metric(0.5, null), metric(0.6, 3)],
    'acc'
  );
  assert.equal(curve.notFinite, 2);
  assert.equal(curve.withoutEnergy, 1);
  assert.deepEqual(
    curve.points.map(point => point.y),
    [0.6]
  );
});

test('runs apart; values without run and with steps by cell; single ones together', () => {
  const keys = (more: object[]): string[] =>
    curvesOf(
      more.map((each, index) => metric(index, index, each)),
      'acc'
    ).map(curve => curve.key);
  assert.deepEqual(keys([{ run: 'a' }, { run: 'b' }, { run: 'a' }]), ['run a', 'run b']);
  assert.deepEqual(
    keys([
      { run: null, step: 1, cell: 1 },
      { run: null, step: 1, cell: 2 }
    ]),
    ['cell 1', 'cell 2']
  );
  assert.deepEqual(
    keys([
      { run: null, cell: 1 },
      { run: null, cell: 2 }
    ]),
    ['']
  );
});

test('the direction decides what is best; without one it is the last', () => {
  const best = (direction: string | null): number | undefined =>
    curvesOf(
      [3, 1, 2].map((value, index) => metric(value, index, { direction })),
      'acc'
    )[0].best?.y;
  assert.equal(best('higher'), 3);
  assert.equal(best('lower'), 1);
  assert.equal(best(null), 2);
});

test('joules per point gained, in hundredths for a fraction', () => {
  const [fraction] = curvesOf([metric(0.5, 0), metric(0.9, 80e6)], 'acc');
  assert.equal(pointsSentence(fraction, joules, english)?.short, '2 J per point');
  const loss = [metric(3, 0, { direction: 'lower' }), metric(1, 80e6, { direction: 'lower' })];
  assert.equal(pointsSentence(curvesOf(loss, 'acc')[0], joules, english)?.short, '40 J per 1');
  assert.equal(pointsSentence(curvesOf([metric(0.5, 1)], 'acc')[0], joules, english), null);
});

test('the sentence of the knee', () => {
  const values = [0.5, 0.8, 0.9, 0.903, 0.904, 0.904, 0.904, 0.904];
  const [curve] = curvesOf(
    values.map((value, index) => metric(value, (index + 1) * 1e6)),
    'acc'
  );
  assert.equal(
    kneeSentence(curve, share => `${share * 100} %`, english),
    'past the knee: 62.5 % of the energy for +0.4 points'
  );
});

test('the metric to show: of which more is better, else the last', () => {
  const loss = metric(1, 1, { name: 'loss', direction: 'lower' });
  assert.equal(chooseMetric([metric(1, 1), loss]), 'acc');
  assert.equal(chooseMetric([loss]), 'loss');
  assert.equal(chooseMetric([]), null);
  assert.deepEqual(metricNames([metric(1, 1), loss]), ['loss', 'acc']);
});

test('the last real curve is the main one, and curves are made once a version', () => {
  const metrics = [
    metric(0.1, 1, { run: 'a' }),
    metric(0.2, 2, { run: 'a' }),
    metric(0.3, 3, { run: 'b' })
  ];
  const curves = new Curves();
  const first = curves.of(1, metrics, 'acc');
  assert.equal(first[first.length - 1].run, 'a');
  assert.equal(curves.of(1, metrics, 'acc'), first);
  assert.notEqual(curves.of(2, metrics, 'acc'), first);
});

test('how often a study did its work is no result', () => {
  const loops = metric(64, 3e6, { name: 'loops', source: 'study', direction: 'higher' });
  const logged = [metric(0.5, 2e6), loops];
  assert.deepEqual(metricNames(logged), ['acc']);
  assert.equal(chooseMetric(logged), 'acc');
  assert.equal(chooseMetric([loops]), null);
  assert.deepEqual(curvesOf(logged, 'loops'), []);
});

test('what stands for a cell: the last of which more is better, of several runs the best', () => {
  const value = (...own: Parameters<typeof metric>[]): number =>
    standingFor(own.map(one => metric(...one))).value;
  const loss = { name: 'loss', direction: 'lower' as const };
  assert.equal(value([0.5, 1], [0.7, 2], [3, 3, loss]), 0.7);
  assert.equal(value([0.9, 1, { run: 'a' }], [0.7, 2, { run: 'b' }]), 0.9);
  assert.equal(value([2, 1, { ...loss, run: 'a' }], [3, 2, { ...loss, run: 'b' }]), 2);
  assert.equal(value([NaN, 1, { run: 'a' }], [0.7, 2, { run: 'b' }]), 0.7);
  assert.equal(
    value([0.9, 1, { direction: null, run: 'a' }], [0.7, 2, { direction: null, run: 'b' }]),
    0.7
  );
});
