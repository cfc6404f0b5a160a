/** The fold is held to what every reader must make of the golden journals. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Fold } from './fold';
import { digest } from './testing/digest';

const GOLDEN = '../tests/golden';
const JOURNALS = readdirSync(GOLDEN)
  .filter(name => name.endsWith('.ndjson'))
  .map(name => name.replace('.ndjson', ''));

const BOUNDS = new Set(['lag_uj', 'bound_uj']);

function journal(name: string): Uint8Array {
  return readFileSync(`${GOLDEN}/${name}.ndjson`);
}

/** Both the same, but that bounds may differ by a microjoule. */
function assertSame(told: unknown, expected: unknown, path: string): void {
  if (typeof expected !== 'object' || expected === null) {
    const slack = BOUNDS.has(path.split('.').at(-1)!) ? 1 : 0;
    const near = Math.abs((told as number) - (expected as number)) <= slack;
    assert.ok(Object.is(told, expected) || near, `${path}: ${told}, expected ${expected}`);
    return;
  }
  assert.ok(told && typeof told === 'object', `${path}: ${told}`);
  assert.deepEqual(Object.keys(told).sort(), Object.keys(expected).sort(), path);
  for (const [key, value] of Object.entries(expected)) {
    assertSame((told as Record<string, unknown>)[key], value, `${path}.${key}`);
  }
}

test('the golden journals are there', () => {
  assert.ok(JOURNALS.length >= 13);
});

for (const name of JOURNALS) {
  test(`${name} means what it meant`, () => {
    const expected: unknown = JSON.parse(readFileSync(`${GOLDEN}/${name}.json`, 'utf8'));
    assertSame(JSON.parse(JSON.stringify(digest(journal(name)))), expected, name);
  });

  test(`${name} may be read event by event`, () => {
    const expected = JSON.stringify(digest(journal(name)));
    if (expected.includes('"refused":"')) {
      return;
    }
    const whole = new Fold();
    const parts = new Fold();
    whole.feedBytes(journal(name));
    for (const line of Buffer.from(journal(name)).toString('latin1').split('\n')) {
      parts.feedBytes(Buffer.from(line, 'latin1'));
    }
    assert.deepEqual(parts.session(), whole.session());
  });
}

test('counters keep their order', () => {
  const fold = new Fold();
  fold.feedBytes(journal('plain'));
  const expected = JSON.parse(readFileSync(`${GOLDEN}/plain.json`, 'utf8')) as {
    session: { counters: object };
  };
  const { counters } = fold.session();
  assert.deepEqual(Object.keys(counters), Object.keys(expected.session.counters));
});
