import assert from 'node:assert/strict';
import test from 'node:test';
import { usedOf } from './budget';
import { energy, english as t } from './testing/sessions';

const WH = 3.6e9;

function used(total: number | null, stop = false, more = {}): ReturnType<typeof usedOf> {
  const budget = { budget_uj: 50 * WH, stop, set_s: 0 };
  return usedOf({ budget, total: energy(total, more) }, t);
}

test('without a budget there is nothing to say', () => {
  assert.equal(usedOf({ budget: null, total: energy(1) }, t), null);
});

test('how much of it is used', () => {
  const words = (wh: number | null, more = {}): string =>
    used(wh === null ? null : wh * WH, false, more)!.words;
  assert.equal(words(18.5), '37 % of 50 Wh');
  assert.equal(words(0), '0 % of 50 Wh');
  assert.equal(words(0.001), '< 0.1 % of 50 Wh');
  assert.equal(words(60), '120 % of 50 Wh');
  assert.equal(words(18.5, { missing: ['dram-0'] }), '≥ 37 % of 50 Wh');
  assert.equal(words(null), 'budget 50 Wh');
});

test('it is not used up before it is', () => {
  assert.equal(used(49.9 * WH)!.words, '> 99 % of 50 Wh');
  assert.equal(used(50 * WH)!.words, '100 % of 50 Wh');
});

test('near its end, and over it', () => {
  const tones = [0, 39.99, 40, 49.99, 50, 80].map(wh => used(wh * WH)!.tone);
  assert.deepEqual(tones, ['within', 'within', 'near', 'near', 'over', 'over']);
  assert.equal(used(null)!.tone, 'within');
});

test('what happens at its end', () => {
  assert.match(used(WH, true)!.title, /^budget 50 Wh: .* is interrupted$/);
  assert.match(used(WH)!.title, /no cell is interrupted$/);
  assert.equal(used(50 * WH, true)!.title, 'budget 50 Wh: it is used up');
});
