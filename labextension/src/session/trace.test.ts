/** The columns behind the live line. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TraceColumns, WattColumns, traceWatts } from './trace';

type Row = [t: number, readings: Record<string, number>];

function columns(...rows: Row[]): TraceColumns {
  const trace = new TraceColumns();
  const seen = new Set<string>();
  for (const [t, readings] of rows) {
    Object.keys(readings).forEach(name => seen.add(name));
    trace.append(t, new Map(Object.entries(readings)), seen);
  }
  return trace;
}

test('watts are the means between successive readings', () => {
  const trace = columns([0, { a: 5e6 }], [1, { a: 15e6 }], [3, { a: 75e6 }]).view();
  assert.deepEqual(traceWatts(trace, ['a']), [
    [0, 1, 3],
    [null, 10, 30]
  ]);
  assert.deepEqual(traceWatts(trace, ['a'], 1.5), [[3], [30]]);
});

test('a missing reading is null, and the next is the mean since the last', () => {
  const trace = columns([0, { a: 0 }], [1, { b: 0 }], [2, { a: 8e6, b: 3e6 }]).view();
  assert.deepEqual(traceWatts(trace, ['a', 'b', 'never']), [
    [0, 1, 2],
    [null, null, 4],
    [null, null, 3],
    [null, null, null]
  ]);
});

test('stamps that lie close make one interval, and no energy is lost', () => {
  const trace = columns(
    [0, { a: 0 }],
    [1, { a: 10e6 }],
    [1.001, { a: 11e6 }],
    [1.1, { a: 11e6 }],
    [2, { a: 20e6 }]
  ).view();
  assert.deepEqual(traceWatts(trace, ['a']), [
    [0, 1, 2],
    [null, 10, 10]
  ]);
  assert.equal(traceWatts(trace, ['a'], 0, 0)[0].length, 5);
});

test('a counter that went back used nothing', () => {
  const trace = columns([0, { a: 9 }], [1, { a: 5 }]).view();
  assert.deepEqual(traceWatts(trace, ['a'])[1], [null, 0]);
});

test('columns that grow are those made at once', () => {
  const trace = columns([0, { a: 0 }]);
  const watts = new WattColumns(['a', 'b']);
  for (let index = 1; index < 300; index++) {
    const readings: [string, number][] = index % 7 ? [['a', index * index]] : [];
    trace.append(index * 0.07, new Map([...readings, ['b', index]]), ['a', 'b']);
    watts.extend(trace.view());
  }
  assert.deepEqual(watts.since(5), traceWatts(trace.view(), ['a', 'b'], 5));
  assert.ok(watts.since(5)[0].every(t => t >= 5));
});

test('a stamp that comes after a later one is left out', () => {
  assert.deepEqual(columns([1, { a: 1 }], [0.5, { a: 2 }], [1, { a: 3 }]).view(), {
    t: [1, 1],
    uj: { a: [1, 3] }
  });
});
