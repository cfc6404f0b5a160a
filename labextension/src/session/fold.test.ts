/** What the golden journals do not tell of: names from outside, refusals, and how long it takes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fold } from './fold';
import { NewerFormat, NotAJournal } from './format';
import { counter, lines, manyCells, started } from './testing/journals';

function folded(events: readonly object[]): Fold {
  const fold = new Fold();
  fold.feedLines(lines(events));
  return fold;
}

test('before its first line there is no session', () => {
  const fold = folded([{ kind: 'power_sampled', t: 1, uj: { a: 1 } }]);
  assert.equal(fold.begun, false);
  assert.throws(() => fold.session(), NotAJournal);
});

test('a newer major version is refused with the remedy', () => {
  const refused = {
    name: 'NewerFormat',
    message: /format 2\.1.*reads up to 1\.x: pip install/
  };
  assert.throws(() => folded([started([], { format: '2.1' })]), refused);
  assert.throws(() => folded([{ kind: 'session_started', format: '2.1' }]), refused);
  assert.throws(() => folded([started([], { format: 'new' })]), NewerFormat);
});

test('a damaged first line is counted, and the session waits', () => {
  const fold = folded([{ kind: 'session_started', format: '1.0' }, started([])]);
  assert.equal(fold.session().bad_lines, 1);
});

test('what is no event never throws', () => {
  const bad = ['null', '[]', '7', '"x"', '{}', '{"kind":7}', '{"kind":"power_sampled"}', '{'];
  const wrong = [
    { kind: 'power_sampled', t: 1, uj: { a: -1 } },
    { kind: 'power_sampled', t: 1, uj: { a: 0.5 } },
    { kind: 'power_sampled', t: 1, error_uj: { a: [1] } },
    { kind: 'power_sampled', t: 1, devices: { a: { processes: [{ pid: 1 }] } } },
    { kind: 'cell_started', t: 1, number: 1, cell: 'a', tags: null }
  ];
  const fold = folded([started([])]);
  fold.feedLines(`${bad.join('\n')}\n${lines(wrong)}\n \r\n`);
  fold.feedLines('{"kind":"power_sampled","t":1e999}\n{"kind":"constructor","t":1}');
  assert.equal(fold.session().bad_lines, bad.length + wrong.length + 1);
  assert.equal(fold.session().unknown_events, 1);
});

test('counters may have any name', () => {
  const names = ['__proto__', 'constructor', 'toString'];
  const uj = (value: number) => JSON.parse(`{${names.map(n => `"${n}":${value}`).join()}}`);
  const fold = folded([
    started(
      names.map(name => counter(name)),
      { uj: uj(5) }
    ),
    { kind: 'power_sampled', t: 1, uj: uj(12) }
  ]);
  const { total, ledger, counters, trace } = fold.session();
  assert.equal(total.total_uj, 21);
  for (const told of [total.uj, ledger.entries['between cells'].uj, counters, trace.uj]) {
    assert.deepEqual(Object.keys(told).sort(), [...names].sort());
  }
});

test('a window that ended when a counter was last seen is whole', () => {
  const uj = { a: 0 };
  const cells = [1, 2].flatMap(number => [
    { kind: 'cell_started', t: 2 * number - 1, uj, number, cell: 'c' },
    { kind: 'cell_finished', t: 2 * number, uj, number, status: 'ok' }
  ]);
  const lost = { kind: 'counter_lost', t: 9, counter: 'a', since: 2, reason: 'stuck' };
  const { cells: told } = folded([started([counter('a')], { uj }), ...cells, lost]).session();
  assert.deepEqual(
    told.map(cell => cell.energy.missing),
    [[], ['a']]
  );
});

test('a later success takes the energy of the earlier one out of the productive', () => {
  const fold = new Fold();
  const told = [];
  for (const event of manyCells(3)) {
    fold.feed(event);
    const { productive, superseded } = fold.session().ledger.entries;
    told.push([productive.total_uj / 1e6, superseded.total_uj / 1e6]);
  }
  // Each cell takes a second at 1 + 2 + 4 W; the third is a rerun of the second.
  assert.deepEqual(told, [
    [0, 0],
    [0, 0],
    [7, 0],
    [7, 0],
    [14, 0],
    [14, 0],
    [14, 7]
  ]);
  assert.equal(fold.session().ledger.category_of.get(2), 'superseded');
  assert.deepEqual(Object.keys(fold.session().ledger.entries.superseded.by_period), ['0']);
});

test('ten thousand cells are folded at once, and a live session is had for nothing', () => {
  const text = lines(manyCells(10_000));
  const fold = new Fold();
  const began = performance.now();
  fold.feedLines(text);
  const folding = performance.now() - began;
  const asked = performance.now();
  for (let index = 0; index < 100; index++) {
    fold.session();
  }
  const asking = (performance.now() - asked) / 100;
  console.log(
    `20,000 events in ${folding.toFixed(0)} ms, a session in ${asking.toFixed(3)} ms`
  );
  assert.equal(fold.session().cells.length, 10_000);
  // Many times what it takes, for machines that are busy: it must not grow with the session.
  assert.ok(folding < 3000, `${folding} ms`);
  assert.ok(asking < 5, `${asking} ms`);
});
