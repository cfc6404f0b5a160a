import assert from 'node:assert/strict';
import test from 'node:test';
import type { Stage } from '../session/stages';
import { partsOf } from './stages';
import { energy, english as t } from './testing/sessions';

function stage(name: string | null, total_uj: number, more: Partial<Stage> = {}): Stage {
  return { name, total_uj, bound_uj: 0, seconds: 60, runs: 2, suggested: false, ...more };
}

function told(rows: Stage[]): string[] {
  const total_uj = rows.reduce((uj, row) => uj + row.total_uj, 0);
  return partsOf(rows, { total: energy(total_uj) }, t).map(
    ({ words, energy_uj }) => `${words} ${energy_uj}`
  );
}

test('nothing where no stage is known, or nothing was used', () => {
  assert.deepEqual(told([stage(null, 5)]), []);
  assert.deepEqual(told([stage('data', 0), stage(null, 5)]), []);
  assert.deepEqual(partsOf([stage('data', 5), stage(null, 0)], { total: energy(null) }, t), []);
});

test('tagged, suggested and the rest', () => {
  const rows = [
    stage('training', 60, { bound_uj: 3 }),
    stage('training', 30, { suggested: true, runs: 1 }),
    stage(null, 10, { runs: 0 })
  ];
  const parts = partsOf(rows, { total: energy(100) }, t);
  assert.deepEqual(
    parts.map(({ words, share, suggested }) => [words, share, suggested]),
    [
      ['training', 0.6, false],
      ['training (suggested)', 0.3, true],
      ['no stage', 0.1, false]
    ]
  );
  assert.equal(parts[0].title, 'as tagged · 60 ± 3 µJ · 1:00 min · 2 cells and spans');
  assert.match(parts[1].title, /nobody has tagged them · 1:00 min · one cell or span$/);
  assert.equal(new Set(parts.map(part => part.key)).size, 3);
});

test('of many stages those of the least energy share a row', () => {
  const rows = Array.from({ length: 7 }, (_, index) => stage(`s${index}`, 20 - index));
  assert.equal(told([...rows, stage(null, 0)]).length, 7);
  const more = [...rows, stage('s7', 3), stage('s8', 2, { suggested: true })];
  const shown = told([...more, stage(null, 1)]);
  assert.equal(shown.length, 8);
  assert.deepEqual(shown.slice(-3), ['s5 15', '3 other stages 19', 'no stage 1']);
  const parts = partsOf([...more, stage(null, 1)], { total: energy(200) }, t);
  assert.equal(parts[6].title, 's6, s7, s8 (suggested)');
});
