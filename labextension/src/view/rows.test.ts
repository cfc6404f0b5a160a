import assert from 'node:assert/strict';
import test from 'node:test';
import type { Cell } from '../session/model';
import { Rows, type Order } from './rows';
import { cell, energy, openCell } from './testing/sessions';

const numbers = (rows: Rows): number[] => rows.slice(0, rows.length).map(row => row.run.number);

function rowsOf(cells: readonly Cell[], order: Order): Rows {
  const rows = new Rows();
  rows.sortBy(order);
  rows.update(cells, [], 100);
  return rows;
}

test('each order', () => {
  const cells = [
    cell(1, { first_line: 'b', energy: energy(5), finished_s: 2 }),
    cell(2, { first_line: 'A', energy: energy(9), finished_s: 3 }),
    cell(3, { first_line: 'c', energy: energy(null), finished_s: 9 })
  ];
  assert.deepEqual(numbers(rowsOf(cells, 'order')), [3, 2, 1]);
  assert.deepEqual(numbers(rowsOf(cells, 'energy')), [2, 1, 3]);
  assert.deepEqual(numbers(rowsOf(cells, 'time')), [3, 2, 1]);
  assert.deepEqual(numbers(rowsOf(cells, 'name')), [2, 1, 3]);
});

test('reruns are one row with the latest run; under another label they are another', () => {
  const labelled = { ...cell(0).tags, label: 'x' };
  const cells = [
    cell(1, { cell: 'a' }),
    cell(2, { cell: 'a', tags: labelled }),
    cell(3, { cell: 'a' })
  ];
  const rows = rowsOf(cells, 'order');
  assert.deepEqual(numbers(rows), [3, 2]);
  assert.equal(rows.groups, 2);
  const [first] = rows.slice(0, 1);
  rows.toggle(first.group.key);
  assert.deepEqual(numbers(rows), [3, 1, 2]);
  assert.equal(rows.slice(1, 2)[0].earlier, true);
  rows.toggle(first.group.key);
  assert.deepEqual(numbers(rows), [3, 2]);
});

test('a run that ends takes the place of itself while it ran', () => {
  const rows = new Rows();
  rows.update([], [openCell(1, 5)], 1);
  const ended = cell(1, { energy: energy(7) });
  assert.equal(rows.update([ended], [], 2), true);
  assert.equal(rows.length, 1);
  assert.equal(rows.slice(0, 1)[0].run, ended);
  assert.equal(rows.slice(0, 1)[0].group.runs.length, 1);
});

test('nothing to do when nothing has changed', () => {
  const cells = [cell(1), cell(2)];
  const rows = rowsOf(cells, 'energy');
  assert.equal(rows.update(cells, [], 200), false);
});

test('an energy that was refined later moves its row', () => {
  const cells = [cell(1), cell(2)];
  const rows = rowsOf(cells, 'energy');
  assert.deepEqual(numbers(rows), [2, 1]);
  rows.update([{ ...cells[0], energy: energy(9e9) }, cells[1]], [], 100);
  assert.deepEqual(numbers(rows), [1, 2]);
});

test('what came bit by bit is in the order of all at once', () => {
  const cells = Array.from({ length: 300 }, (_, index) =>
    cell(index + 1, {
      cell: `c${(index * 7) % 90}`,
      first_line: `f${(index * 31) % 57}`,
      energy: energy((index * 7919) % 1009),
      finished_s: index + 1 + ((index * 13) % 17)
    })
  );
  for (const order of ['order', 'energy', 'time', 'name'] as const) {
    const rows = new Rows();
    rows.sortBy(order);
    for (let count = 1; count <= cells.length; count += 3) {
      rows.update(cells.slice(0, count), [openCell(1000, count, { cell: 'open' })], count);
    }
    rows.update(cells, [openCell(1000, 500, { cell: 'open' })], 400);
    const all = new Rows();
    all.sortBy(order);
    all.update(cells, [openCell(1000, 500, { cell: 'open' })], 400);
    assert.deepEqual(numbers(rows), numbers(all), order);
  }
});
