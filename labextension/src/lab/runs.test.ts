import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fold } from '../session/fold';
import { runsOf, sameRuns } from './runs';

const JOURNAL = join(process.cwd(), '..', 'tests', 'golden', 'reruns.ndjson');

function folded() {
  const fold = new Fold();
  fold.feedLines(readFileSync(JOURNAL, 'utf8'));
  return fold.session();
}

test('runs of a cell are counted, and the last one is told', () => {
  const session = folded();
  const runs = runsOf(session);
  const again = [...runs.values()].find(known => known.count > 1);
  assert.ok(again?.last, 'the journal holds a cell that ran again');
  const all = session.cells.filter(cell => cell.cell === again.last?.cell);
  assert.equal(again.count, all.length);
  assert.equal(again.last, all.at(-1));
  assert.equal(
    again.total_uj,
    all.reduce((sum, cell) => sum + (cell.energy.total_uj ?? 0), 0)
  );
});

test('what has not changed is known as the same; what runs has always changed', () => {
  const session = folded();
  const [identity, runs] = [...runsOf(session)][0];
  const again = runsOf(session).get(identity)!;
  assert.ok(sameRuns(runs, again));
  assert.ok(!sameRuns(runs, { ...again, count: again.count + 1 }));
  assert.ok(!sameRuns(runs, { ...again, last: { ...again.last! } }));
  const open = { ...again, open: {} as NonNullable<typeof again.open> };
  assert.ok(!sameRuns(open, open));
});
