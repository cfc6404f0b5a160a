/** The columns behind the live line, and the power at their end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TraceColumns } from './trace';

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

const all = (): boolean => true;

test('the power is the mean of the last two seconds, over all counters that count', () => {
  const rows: Row[] = [
    [0, { a: 0, b: 0 }],
    [1, { a: 90e6, b: 1e6 }],
    [2, { a: 100e6, b: 2e6 }],
    [3, { a: 110e6, b: 3e6 }]
  ];
  assert.equal(columns(...rows).powerW(all), 11);
  assert.equal(
    columns(...rows).powerW(counter => counter === 'a'),
    10
  );
  assert.equal(
    columns(...rows).powerW(() => false),
    null
  );
});

test('one reading has no power', () => {
  assert.equal(columns([0, { a: 5 }]).powerW(all), null);
  assert.equal(columns([0, { a: 5 }], [1, { b: 5 }]).powerW(all), null);
});

test('a counter that was read less often has the power between its own readings', () => {
  assert.equal(columns([0, { a: 0 }], [1, { b: 0 }], [2, { a: 8e6, b: 3e6 }]).powerW(all), 7);
});

test('a counter that went back used nothing', () => {
  assert.equal(columns([0, { a: 9 }], [1, { a: 5 }]).powerW(all), 0);
});

test('a stamp that comes after a later one is left out', () => {
  assert.deepEqual(columns([1, { a: 1 }], [0.5, { a: 2 }], [1, { a: 3 }]).view(), {
    t: [1, 1],
    uj: { a: [1, 3] }
  });
});
