import assert from 'node:assert/strict';
import test from 'node:test';
import { idleStretches, powerSeries, roundTimes, sourcesOf, stepFor } from './power';
import { session } from './testing/sessions';

const CPU = [{ key: 'cpu', counters: ['package-0'] }];
const traceOf = (t: number[], uj: (number | null)[]) => ({ t, uj: { 'package-0': uj } });

test('the areas hold the whole energy', () => {
  const t = Array.from({ length: 101 }, (_, index) => index / 10 + (index % 3) * 0.01);
  const uj = t.map(seconds => Math.round(seconds ** 2 * 1e6));
  const series = powerSeries(traceOf(t, uj), CPU, 0, 1);
  const joules = series.t
    .slice(1)
    .map((end, index) => (end - series.t[index]) * series.stacked[0][index + 1]!);
  assert.ok(Math.abs(joules.reduce((a, b) => a + b) - uj[100] / 1e6) < 1e-6);
});

test('points stay where they are when the window moves on', () => {
  const t = Array.from({ length: 200 }, (_, index) => index * 0.3);
  const trace = traceOf(
    t,
    t.map((_, index) => index ** 2 * 1000)
  );
  const [early, late] = [powerSeries(trace, CPU, 10, 1), powerSeries(trace, CPU, 10.7, 1)];
  const at = early.t.indexOf(late.t[1]);
  assert.ok(at > 0);
  assert.deepEqual(late.t.slice(1), early.t.slice(at));
  assert.deepEqual(late.stacked[0].slice(2), early.stacked[0].slice(at + 1));
});

test('what was not read is a gap, and the other sources go on', () => {
  const trace = { t: [0, 1, 2], uj: { a: [0, null, 2e6], b: [0, 3e6, 6e6] } };
  const sources = [
    { key: 'a', counters: ['a'] },
    { key: 'b', counters: ['b'] }
  ];
  const both = powerSeries(trace, sources, 0, 1);
  assert.deepEqual(both.stacked, [
    [null, 0, 0],
    [null, 3, 3]
  ]);
  assert.deepEqual(both.last, [null, 3]);
  const one = powerSeries(trace, sources.slice(0, 1), 0, 1);
  assert.deepEqual(one.stacked, [[null, null, null]]);
});

test('stamps that lie close make one stretch', () => {
  const series = powerSeries(traceOf([0, 0.999, 1.001, 2], [0, 1e6, 1e6, 2e6]), CPU, 0, 1);
  assert.deepEqual(series.t, [0, 1.001, 2]);
});

test('an empty trace has no points, and a step is one of few', () => {
  assert.deepEqual(powerSeries(traceOf([], []), CPU, 0, 1).t, []);
  assert.equal(stepFor(1), 0.25);
  assert.equal(stepFor(300), 1);
  assert.equal(stepFor(86_400), 512 * 0.25 * 4);
});

test('packages together, DRAM, and only the devices that are used', () => {
  const gpu = {
    domain: 'gpu',
    source: 'nvml',
    provenance: 'measured',
    resolution_s: 0.1,
    scope: 'device'
  };
  const rapl = { source: 'rapl', provenance: 'measured', resolution_s: 0.001 };
  const counters = [
    { name: 'gpu-0', ...gpu },
    { name: 'gpu-1', ...gpu },
    { name: 'dram-0', domain: 'dram', ...rapl },
    { name: 'package-0', domain: 'package', ...rapl },
    { name: 'package-1', domain: 'package', ...rapl },
    { name: 'core-0', domain: 'core', counted: false, ...rapl }
  ];
  const begin = { 'gpu-0': 0, 'gpu-1': 0, 'dram-0': 0, 'package-0': 0, 'package-1': 0 };
  const later = { kind: 'power_sampled', t: 1, uj: { ...begin, 'gpu-1': 5 } };
  const found = sourcesOf(session([later], { counters, uj: begin }));
  assert.deepEqual(found, [
    { key: 'cpu', counters: ['package-0', 'package-1'] },
    { key: 'dram', counters: ['dram-0'] },
    { key: 'gpu-1', counters: ['gpu-1'] }
  ]);
});

test('idle is what lies between the cells of the main shell', () => {
  const run = (
    number: number,
    from: number,
    to: number | null,
    more: object = {}
  ): object[] => [
    { kind: 'cell_started', t: from, n: 2 * number, number, cell: `${number}`, ...more },
    ...(to === null
      ? []
      : [{ kind: 'cell_finished', t: to, n: 2 * number + 1, number, status: 'ok' }])
  ];
  const events = [
    ...run(1, 10, 20),
    ...run(2, 20.001, 30),
    ...run(3, 32, 33, { thread: 'subshell' }),
    ...run(4, 40, null)
  ];
  const told = session([...events, { kind: 'power_sampled', t: 50, uj: {} }]);
  assert.deepEqual(idleStretches(told, 0, 50, 0.1), [
    [0, 10],
    [30, 40]
  ]);
  assert.deepEqual(idleStretches(told, 15, 50, 0.1), [[30, 40]]);
});

test('round times on the axis', () => {
  assert.deepEqual(roundTimes(0, 300, 60), [0, 60, 120, 180, 240, 300]);
  assert.deepEqual(
    roundTimes(-250, 50, 60),
    [-240, -180, -120, -60, 0].map(t => t + 0)
  );
  assert.deepEqual(roundTimes(61, 119, 60), []);
});

test('the axis of a clock that is far off ends', () => {
  for (const t of [9.1e15, 1e17, 1e18, 1e300, Infinity, NaN]) {
    for (const step of [0, 1, 60, 604800]) {
      assert.ok(roundTimes(t - 300, t, step).length <= 100, `${t} ${step}`);
      assert.ok(roundTimes(0, t, step).length <= 100, `${t} ${step}`);
    }
  }
});
