/** The stages are held to what every reader must make of the golden journals. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Fold } from './fold';
import type { Session } from './model';
import { Stages, folded } from './stages';
import { manyCells, type Event } from './testing/journals';
import { plain, rowsOf } from './testing/stages';

type Row = Record<string, number | string | boolean | null>;

const GOLDEN = '../tests/golden';
const EXPECTED = JSON.parse(readFileSync(`${GOLDEN}/stages/stages.json`, 'utf8')) as Record<
  string,
  Record<string, Row[]>
>;

function journal(name: string): Uint8Array {
  const path = `${GOLDEN}/${name}.ndjson`;
  return readFileSync(existsSync(path) ? path : `${GOLDEN}/stages/${name}.ndjson`);
}

/** Both the same, but that bounds, which are rounded, may differ by a microjoule. */
function assertSame(told: Row[], expected: Row[], name: string): void {
  const bare = (rows: Row[]): Row[] => rows.map(({ bound_uj, ...row }) => row);
  assert.deepEqual(bare(told), bare(expected), name);
  told.forEach(({ bound_uj }, index) => {
    const off = Math.abs(Number(bound_uj) - Number(expected[index].bound_uj));
    assert.ok(off <= 1, `${name}: ${bound_uj}, expected ${expected[index].bound_uj}`);
  });
}

test('the golden stages are there', () => {
  assert.ok(Object.keys(EXPECTED).length >= 14);
  assert.ok(EXPECTED.nested_stages.session.length > 8);
});

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`the stages of ${name} are what they were`, () => {
    const told = rowsOf(journal(name)) as Record<string, Row[]>;
    assert.deepEqual(Object.keys(told).sort(), Object.keys(expected).sort());
    for (const [kind, rows] of Object.entries(expected)) {
      if (kind === 'refused') {
        assert.equal(told.refused, rows);
      } else {
        assertSame(told[kind], rows, `${name}.${kind}`);
      }
    }
  });
}

test('asked event by event they are the same', () => {
  for (const name of ['nested_stages', 'counter_lost', 'budget', 'kernel_died']) {
    const fold = new Fold();
    const stages = new Stages();
    for (const line of new TextDecoder().decode(journal(name)).split('\n')) {
      fold.feedLines(line);
      if (fold.begun) {
        assert.deepEqual(plain(fold.session(), stages), plain(fold.session()), line);
      }
    }
  }
});

test('a cell that turns out to lack a counter is gone through again', () => {
  const fold = new Fold();
  const stages = new Stages();
  const events: Event[] = manyCells(3).map(event =>
    event.kind === 'cell_started' ? { ...event, suggested_stage: 'data' } : event
  );
  events.forEach(event => fold.feed(event));
  const before = stages.of(fold.session());
  fold.feed({ kind: 'counter_lost', t: 7, counter: 'gpu-0', since: 3.5, reason: 'gone' });
  const after = stages.of(fold.session());
  assert.notDeepEqual(after, before);
  assert.deepEqual(after, new Stages().of(fold.session()));
});

test('finished cells are gone through once', () => {
  const fold = new Fold();
  manyCells(50).forEach(event => fold.feed(event));
  let looked = 0;
  const cells = fold.session().cells.map(
    cell =>
      new Proxy(cell, {
        get: (of, name) => {
          looked += 1;
          return Reflect.get(of, name) as unknown;
        }
      })
  );
  const stages = new Stages();
  const session: Session = { ...fold.session(), cells };
  const first = stages.of(session);
  assert.ok(looked > 50);
  looked = 0;
  assert.deepEqual(stages.of({ ...session, cells: [...cells] }), first);
  assert.equal(looked, 0);
});

test('names are folded as Python folds them', () => {
  const pairs = [
    ['  Training\t', 'training'],
    ['data \u00a0 and\x1clabels', 'data and labels'],
    ['STRASSE Straße ẞ', 'strasse strasse ss'],
    ['ΟΔΟΣ οδος', 'οδοσ οδοσ'],
    ['Sınıf I İ', 'sınıf i i̇'],
    ['\ufeff', '\ufeff'],
    [' \u2003\x85', '']
  ];
  for (const [text, expected] of pairs) {
    assert.equal(folded(text), expected, JSON.stringify(text));
  }
});
