/** Figures read as the golden table says, which Python's are held to as well. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as units from './units';

type Row = [name: string, args: (number | string)[], text: string];

const ROWS = JSON.parse(readFileSync('../tests/golden/formats.json', 'utf8')) as Row[];

const FUNCTIONS: Record<string, (...args: number[]) => string> = {
  format_number: units.formatNumber,
  format_energy: energyUj => units.formatEnergy(energyUj!),
  format_energy_with_bound: (energyUj, boundUj) =>
    units.formatEnergyWithBound(energyUj!, boundUj!),
  format_kwh: units.formatKwh,
  format_budget: units.formatBudget,
  format_power: units.formatPower,
  format_co2: units.formatCo2,
  format_duration: units.formatDuration,
  format_share: units.formatShare
};

const NOT_FINITE: Record<string, number> = { inf: Infinity, '-inf': -Infinity, nan: NaN };

for (const name of Object.keys(FUNCTIONS)) {
  test(`${name} reads as the table says`, () => {
    const rows = ROWS.filter(row => row[0] === name);
    assert.ok(rows.length > 10);
    for (const [, args, text] of rows) {
      const given = args.map(arg => (typeof arg === 'string' ? NOT_FINITE[arg]! : arg));
      assert.equal(FUNCTIONS[name]!(...given), text, `${name}(${args.join(', ')})`);
    }
  });
}

test('every function of the table is there', () => {
  assert.deepEqual([...new Set(ROWS.map(row => row[0]))].sort(), Object.keys(FUNCTIONS).sort());
});

test('a unit that was asked for holds everywhere', () => {
  assert.equal(units.formatEnergy(1.24e13, 'J'), '12400000 J');
  assert.equal(units.formatEnergy(3.6e9, 'Wh'), '1 Wh');
  assert.equal(units.formatEnergy(18e6, 'Wh'), '0.005 Wh');
  assert.equal(units.formatEnergy(0, 'Wh'), '0 Wh');
  assert.equal(units.formatEnergy(0), '0 J');
  assert.equal(units.formatEnergy(3, 'Wh'), '<0.000001 Wh');
  assert.equal(units.formatEnergyWithBound(3.6e9, 36e6, 'Wh'), '1.00 ± 0.01 Wh');
  assert.equal(units.formatEnergyWithBound(1.24e13, 2e9, 'J'), '12400000 ± 2000 J');
  assert.equal(units.formatEnergyWithBound(0, 0, 'Wh'), '0 ± 0 Wh');
  assert.equal(units.formatEnergyWithBound(3, 1, 'Wh'), '0.000000 ± 0.000001 Wh');
});
