import assert from 'node:assert/strict';
import test from 'node:test';
import type { Phase, State } from '../feed/panel';
import { share } from '../session/figures';
import type { Session } from '../session/model';
import { hintsOf } from './hints';
import { processorRefusal } from './now';
import { sayingOf } from './phases';
import { energy, english as t, session } from './testing/sessions';
import { clockText } from './words';

function state(told: Session | null, more: Partial<State> = {}): State {
  return {
    phase: 'live',
    detail: '',
    notebook: 'n.ipynb',
    session: told,
    version: 1,
    problems: [],
    received_ms: 0,
    units: 'auto',
    ...more
  };
}

const words = (told: Session, more: Partial<State> = {}): string[] =>
  hintsOf(state(told, more), told, t).map(hint => hint.words);

test('nothing is said where nothing is wrong', () => {
  assert.deepEqual(words(session()), []);
});

test('a counter that is lost, with reason and command', () => {
  const lost = {
    kind: 'counter_lost',
    t: 5,
    counter: 'package-0',
    since: 4,
    reason: 'Permission denied',
    remedy: 'sudo chmod a+r /sys/x  # until reboot'
  };
  const told = session([lost]);
  const [hint] = hintsOf(state(told), told, t);
  assert.equal(hint.words, 'package-0 cannot be read since 4 s: Permission denied');
  assert.deepEqual(hint.commands, ['sudo chmod a+r /sys/x']);
  assert.equal(hint.severity, 'problem');
});

test('problems come first and once, and overlaps follow', () => {
  const overlap = { kind: 'overlap_seen', t: 1, session: 'x', pid: 7, notebook: 'other.ipynb' };
  const told = session([overlap, { ...overlap, t: 2 }]);
  assert.deepEqual(words(told, { problems: ['the disk is full', 'the disk is full'] }), [
    'the disk is full',
    `other.ipynb used this machine, too, as seen at ${clockText((1.7e9 + 1) * 1000, Date.now())}`
  ]);
});

test('what could be saved is for the findings to say, by one rule', () => {
  const bare = session();
  const { failed, ...others } = bare.ledger.entries;
  const entries = { ...others, failed: { ...failed, total_uj: 90e6 } };
  const told = { ...bare, total: energy(100e6), ledger: { ...bare.ledger, entries } };
  assert.equal(share(told, told.ledger.entries['failed']), 0.9);
  assert.deepEqual(words(told), []);
});

test('what was not chosen is not told, and the remedy beside the watts not again', () => {
  const refused = [
    { source: 'rapl', reason: 'Permission denied', remedy: 'sudo chmod a+r /sys/x' },
    { source: 'pyrapl', reason: 'not asked for', by_choice: true },
    { source: 'nvml', reason: 'no driver' }
  ];
  const counters = [
    {
      name: 'cpu-model',
      domain: 'cpu',
      source: 'modelled',
      provenance: 'modelled',
      resolution_s: 1
    }
  ];
  const told = session([], { refused, counters, uj: { 'cpu-model': 0 } });
  assert.equal(processorRefusal(told)?.source, 'rapl');
  assert.deepEqual(words(told), ['nvml is not used: no driver']);
  assert.equal(processorRefusal(session([], { refused })), null);
});

test('each phase has its sentence, but for those that show figures', () => {
  const phases: Phase[] = [
    'no-notebook',
    'no-kernel',
    'starting',
    'other-language',
    'untracked',
    'not-installed',
    'failed',
    'versions',
    'loading',
    'ended',
    'died',
    'disconnected'
  ];
  const sentences = phases.map(
    phase => sayingOf(state(null, { phase, detail: 'R' }), t)?.words
  );
  assert.equal(new Set(sentences).size, phases.length);
  assert.ok(sentences.every(sentence => sentence && sentence.length > 10));
  assert.equal(sayingOf(state(null, { phase: 'live' }), t), null);
  assert.equal(sayingOf(state(null, { phase: 'asleep' }), t), null);
  assert.ok(sayingOf(state(null, { phase: 'untracked' }), t)?.start);
  assert.equal(
    sayingOf(state(null, { phase: 'not-installed' }), t)?.command,
    'pip install jupyter-green'
  );
});
