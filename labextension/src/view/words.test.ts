import assert from 'node:assert/strict';
import test from 'node:test';
import { english as t, energy, session } from './testing/sessions';
import {
  boundWords,
  carbonTitle,
  clean,
  clockText,
  columnTime,
  commandOf,
  energyTitle,
  energyWords,
  figureAndUnit,
  metricText,
  percentUp,
  noLiveWords,
  placeWords,
  provenanceWords,
  purposeWords,
  stageWords,
  statusWords,
  timeLabel,
  totalText
} from './words';

test('an energy, a lower bound, and none', () => {
  assert.equal(energyWords(energy(12.4e6), 'auto', t), '12.4 J');
  assert.equal(energyWords(energy(12.4e6, { missing: ['dram-0'] }), 'auto', t), '≥ 12.4 J');
  assert.equal(energyWords(energy(null), 'auto', t), 'not readable');
});

test('its bound, or why there is none', () => {
  assert.equal(boundWords(energy(100e6, { bound_uj: 0.31e6 }), t), '± 0.4 %');
  assert.equal(
    boundWords(energy(100e6, { bound_uj: 30e6, lag_uj: 30e6 }), t),
    'below resolution'
  );
  assert.equal(boundWords(energy(100e6, { missing: ['dram-0'] }), t), 'dram-0 missing');
  assert.equal(boundWords(energy(null), t), '');
});

test('a bound in percent is rounded up', () => {
  assert.equal(percentUp(0.0031), '0.4 %');
  assert.equal(percentUp(0.003), '0.3 %');
  assert.equal(percentUp(0.401), '41 %');
  assert.equal(percentUp(0.000001), '0.1 %');
});

test('everything about an energy', () => {
  const both = energy(100e6, { bound_uj: 2e6, provenance: ['modelled', 'measured'] });
  assert.equal(energyTitle(both, t), '100 ± 2 J, measured + modelled');
  assert.match(
    energyTitle(energy(5e6, { missing: ['dram-0'] }), t),
    /^≥ 5 J, measured, dram-0 missing$/
  );
  assert.equal(provenanceWords(['modelled', 'measured'], t), 'measured + modelled');
});

test('totals are in watt-hours as soon as they are some, unless units are asked for', () => {
  assert.equal(totalText(3.6e9, 'auto'), '1 Wh');
  assert.equal(totalText(3.6e6, 'auto'), '3.6 J');
  assert.equal(totalText(3.6e9, 'J'), '3600 J');
  assert.equal(totalText(7.2e12, 'auto'), '2 kWh');
  assert.deepEqual(figureAndUnit('≥ 3.86 Wh'), ['≥ 3.86', 'Wh']);
  assert.deepEqual(figureAndUnit('not readable'), ['not readable', '']);
});

test('no number has an exponent', () => {
  for (const value of [1e-12, 1e-5, 0.5, 1e9, 1e25, -3e-9]) {
    assert.doesNotMatch(metricText(value), /e[+-]?\d/, `${value}`);
  }
  assert.equal(metricText(NaN), 'NaN');
  assert.equal(metricText(-Infinity), '−∞');
});

test('text of others is one line that steers nothing', () => {
  assert.equal(clean('\u001b[31mred\u001b[0m\n next\u202e turned\u0007'), 'red next turned');
});

test('what a status means', () => {
  assert.equal(statusWords({ status: 'ok', error: null }, t), '');
  assert.equal(statusWords({ status: 'error', error: 'ValueError' }, t), 'ValueError');
  assert.equal(statusWords({ status: 'interrupted', error: null }, t), 'interrupted');
});

test('times', () => {
  assert.equal(columnTime(0.02), '< 0.1 s');
  assert.equal(columnTime(9.94), '9.9 s');
  assert.equal(columnTime(9.97), '0:10');
  assert.equal(columnTime(161), '2:41');
  assert.equal(columnTime(3725), '1:02:05');
  const at = new Date(2026, 3, 5, 14, 2).getTime();
  assert.match(clockText(at, at + 60_000), /^\D*0?2:02|^14:02/);
  assert.match(clockText(at, at + 864e5), /2026/);
});

test('the command of a remedy', () => {
  const chmod =
    'sudo chmod a+r /sys/x  # until reboot, for everybody; `jupyter green doctor`: for good';
  assert.equal(commandOf(chmod), 'sudo chmod a+r /sys/x');
  assert.equal(commandOf('run `jupyter green doctor`'), 'jupyter green doctor');
  assert.equal(commandOf('check the space that is left'), '');
});

test('what the grams depend on', () => {
  const intensity = { g_per_kwh: 344, place: 'Germany', year: 2024, source: 'Ember' };
  const told = session([], { intensity, pricing: { pue: 1.2 } });
  assert.equal(placeWords(told, t), 'Germany 2024, 344 g/kWh');
  assert.equal(
    carbonTitle(told, t),
    'now Germany 2024, 344 g/kWh · lifecycle · PUE 1.2 · Ember'
  );
  assert.equal(placeWords(session(), t), '');
});

test('times on an axis', () => {
  const told = [1, 30, 60, 90, 300, 3600, 5400, 7200, 86400].map(timeLabel);
  assert.deepEqual(told, [
    '1 s',
    '30 s',
    '1 min',
    '1:30 min',
    '5 min',
    '1 h',
    '1:30 h',
    '2 h',
    '24 h'
  ]);
});

const FRANCE = {
  place: 'France',
  g_per_kwh: 44,
  year: 2024,
  basis: 'life cycle',
  source: 'table'
};
const NO_ANSWER = 'Electricity Maps did not answer within 10 s';

const changed = (reason: string, intensity: object | null = FRANCE): object => ({
  kind: 'intensity_changed',
  t: 1,
  intensity,
  reason
});

test('why the grams are these', () => {
  const because = (...events: object[]): string => carbonTitle(session(events), t);
  const rest = 'life cycle · PUE 1 · table';
  assert.equal(because(changed('')), `now France 2024, 44 g/kWh · ${rest}`);
  assert.equal(
    because(changed('set by the user')),
    `now France 2024, 44 g/kWh, set by the user · ${rest}`
  );
  assert.equal(
    because(changed('published for 2026-01-02 03:00 UTC')),
    `now France 2024, 44 g/kWh, published for 2026-01-02 03:00 UTC · ${rest}`
  );
  assert.equal(
    because(changed(`${NO_ANSWER}; the table's annual average stands in`)),
    `now France 2024, 44 g/kWh · no live intensity: ${NO_ANSWER}; the table's annual average ` +
      `stands in · ${rest}`
  );
});

test('a new price does not hide why the intensity is this one', () => {
  const priced = { kind: 'pricing_changed', t: 2, pricing: { pue: 1, price_per_kwh: 0.2 } };
  const told = session([changed('set by the user'), priced, priced]);
  assert.match(carbonTitle(told, t), /^now France 2024, 44 g\/kWh, set by the user ·/);
  const again = session([
    changed('set by the user'),
    changed('', { ...FRANCE, g_per_kwh: 50 })
  ]);
  assert.match(carbonTitle(again, t), /now France 2024, 50 g\/kWh ·/);
});

test('no live intensity, and nothing in its place', () => {
  const nothing = session([changed(`${NO_ANSWER}; no other value stands in`, null)]);
  assert.equal(
    noLiveWords(nothing, t),
    `no live intensity: ${NO_ANSWER}; no other value stands in`
  );
  assert.equal(noLiveWords(session(), t), '');
  assert.equal(noLiveWords(session([changed('set by the user', null)]), t), '');
});

test('what a cell is for', () => {
  const none = { deliberate: false, label: null, stage: null, technique: null };
  const words = (tags: object, suggested_stage: string | null = null): string =>
    purposeWords({ tags: { ...none, ...tags }, suggested_stage }, t);
  assert.equal(words({}), '');
  assert.equal(words({}, 'training'), 'stage: training (suggested)');
  assert.equal(words({ stage: 'Evaluation' }, 'training'), 'stage: Evaluation');
  assert.equal(words({ stage: '  ' }, 'training'), 'stage: training (suggested)');
  assert.equal(
    words({ stage: 'training', technique: 'pruning' }),
    'stage: training · technique: pruning'
  );
  assert.equal(words({ technique: '\u202epruning\n' }), 'technique: pruning');
});

test('a stage may be called anything', () => {
  assert.equal(stageWords('\u202e\x1b[31m\u200b', false, t), '(no text)');
  assert.equal(stageWords('x'.repeat(5000), false, t).length, 60);
  assert.equal(stageWords('a\nb', true, t), 'a b (suggested)');
});
