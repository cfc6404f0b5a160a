import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, mock, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { digest } from '../session/testing/digest';
import type { FromKernel, Link, ToKernel } from './protocol';
import { PROTOCOL } from './protocol';
import { Store } from './store';
import { asWritten } from './translate';
import { VERSION } from './version';

const GOLDEN = join(process.cwd(), '..', 'tests', 'golden');
const LINES = readFileSync(join(GOLDEN, 'reruns.ndjson'), 'utf8').trimEnd().split('\n');
const CELLS = (
  digest(readFileSync(join(GOLDEN, 'reruns.ndjson'))) as { session: { cells: object[] } }
).session.cells.length;

/** A kernel whose journal is the golden one, as far as it is told. */
class Kernel implements Link {
  onMessage: Link['onMessage'] = null;
  sent: ToKernel[] = [];

  send(message: ToKernel): void {
    this.sent.push(message);
  }

  say(message: unknown, ...buffers: Uint8Array[]): void {
    const views = buffers.map(
      b => new DataView(b.buffer as ArrayBuffer, b.byteOffset, b.length)
    );
    this.onMessage?.(message as FromKernel, views);
  }

  hello(session = 's', protocol = PROTOCOL): void {
    this.say({ type: 'hello', protocol, version: '9.9.9', session });
  }

  snapshot(
    next: number,
    { stream = 'a', parts = 1, skip = [] as number[], reversed = false } = {}
  ): void {
    const bytes = packed(LINES.slice(0, next));
    const size = Math.ceil(bytes.length / parts);
    const order = Array.from({ length: parts }, (_, part) => part).filter(
      p => !skip.includes(p)
    );
    for (const part of reversed ? order.reverse() : order) {
      const message = { type: 'snapshot', stream, part, parts, next };
      this.say(message, bytes.slice(part * size, (part + 1) * size));
    }
  }

  events(from: number, next: number, stream = 'a'): void {
    this.say({ type: 'events', stream, from, next }, packed(LINES.slice(from, next)));
  }

  watches(): Extract<ToKernel, { type: 'watch' }>[] {
    return this.sent.filter(message => message.type === 'watch');
  }
}

const packed = (lines: string[]): Uint8Array => deflateSync(lines.join('\n') + '\n');

let kernel: Kernel;
let store: Store;

beforeEach(() => {
  kernel = new Kernel();
  store = new Store({ translate: asWritten });
  store.visible(true);
  store.attach(kernel);
});

function greeted(): void {
  store.greet();
  kernel.hello();
}

describe('greeting', () => {
  test('names the client, the version and the preferences, and then watches', () => {
    store.configure({
      preferences: { place: 'FR', price_per_kwh: 0.2, currency: 'EUR' },
      refresh_s: 5,
      units: 'Wh'
    });
    greeted();
    const [hello, watch] = kernel.sent;
    assert.deepEqual(hello, {
      type: 'hello',
      protocol: PROTOCOL,
      version: VERSION,
      client: store.client,
      preferences: { place: 'FR', price_per_kwh: 0.2, currency: 'EUR' }
    });
    assert.deepEqual(watch, {
      type: 'watch',
      client: store.client,
      visible: true,
      refresh_s: 5,
      stream: null,
      next: null
    });
    assert.equal(store.state.phase, 'loading');
    assert.equal(store.state.units, 'Wh');
  });

  test('the version is that of the package', () => {
    assert.equal(VERSION, JSON.parse(readFileSync('package.json', 'utf8')).version);
  });

  test('nothing is sent to a kernel that has not been greeted', () => {
    store.visible(false);
    store.visible(true);
    assert.deepEqual(kernel.sent, []);
  });

  test('a kernel that announces itself is greeted', () => {
    kernel.hello();
    assert.equal(kernel.sent[0].type, 'hello');
    kernel.hello();
    assert.equal(kernel.watches().length, 1);
  });

  test('a hello to somebody else changes nothing', async () => {
    greeted();
    kernel.snapshot(12);
    await store.settled;
    kernel.hello();
    assert.equal(kernel.watches().length, 1);
    assert.equal(store.state.phase, 'live');
  });

  test('a package that is older is named, and how to update it', () => {
    store.greet();
    kernel.hello('s', PROTOCOL - 1);
    assert.equal(store.state.phase, 'versions');
    assert.match(
      store.state.detail,
      /in the kernel \(9\.9\.9\) is older .* kernel’s environment/
    );
    assert.equal(kernel.watches().length, 0);
  });

  test('a panel that is older is named, and how to update it', () => {
    store.greet();
    kernel.hello('s', PROTOCOL + 1);
    assert.match(store.state.detail, /This panel \(.*\) is older .* reload this page/);
    kernel.snapshot(12);
    assert.equal(store.state.session, null);
  });

  test('a journal of a newer format is not shown half', async () => {
    greeted();
    const newer = readFileSync(join(GOLDEN, 'newer_major.ndjson'));
    kernel.say(
      { type: 'snapshot', stream: 'a', part: 0, parts: 1, next: 9 },
      deflateSync(newer)
    );
    await store.settled;
    assert.equal(store.state.phase, 'versions');
    assert.notEqual(store.state.detail, '');
  });
});

describe('positions', () => {
  test('snapshot and events make the whole session', async () => {
    greeted();
    kernel.snapshot(6);
    kernel.events(6, 15);
    kernel.events(15, LINES.length);
    await store.settled;
    assert.equal(store.state.phase, 'live');
    assert.equal(store.state.session?.cells.length, CELLS);
    assert.equal(store.state.session?.bad_lines, 0);
  });

  test('what is known already is not folded twice', async () => {
    greeted();
    kernel.snapshot(LINES.length);
    await store.settled;
    const { version } = store.state;
    kernel.snapshot(12);
    kernel.snapshot(LINES.length);
    kernel.events(3, 12);
    await store.settled;
    assert.equal(store.state.version, version);
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('parts may come in any order, and events between them', async () => {
    greeted();
    kernel.snapshot(12, { parts: 4, skip: [1], reversed: true });
    kernel.events(12, LINES.length);
    await store.settled;
    assert.equal(store.state.phase, 'loading');
    kernel.snapshot(12, { parts: 4, skip: [0, 2, 3] });
    await store.settled;
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('a gap is asked for, with the position that is held', async t => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e6 });
    greeted();
    kernel.snapshot(6);
    await store.settled;
    kernel.events(9, 12);
    kernel.events(12, 14);
    await store.settled;
    assert.equal(kernel.watches().length, 1);
    t.mock.timers.tick(2000);
    assert.equal(kernel.watches().length, 2);
    const { stream, next } = kernel.watches()[1];
    assert.deepEqual([stream, next], ['a', 6]);
    kernel.snapshot(LINES.length);
    await store.settled;
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('it is asked for at most every two seconds', async t => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e6 });
    greeted();
    for (let round = 0; round < 10; round++) {
      kernel.events(9, 12);
      await store.settled;
      t.mock.timers.tick(500);
    }
    assert.equal(kernel.watches().length, 1 + 2);
  });

  test('a part that never comes is asked for', async t => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e6 });
    greeted();
    kernel.snapshot(12, { parts: 3, skip: [1] });
    t.mock.timers.tick(5000);
    t.mock.timers.tick(2000);
    assert.equal(kernel.watches().length, 2);
    kernel.snapshot(LINES.length, { parts: 2 });
    await store.settled;
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('a recorder that was restarted counts anew', async () => {
    greeted();
    kernel.snapshot(12);
    kernel.snapshot(LINES.length - 1, { stream: 'b' });
    kernel.events(LINES.length - 1, LINES.length, 'b');
    await store.settled;
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('a snapshot that comes without parts before it replaces one that is incomplete', async () => {
    greeted();
    kernel.snapshot(6, { parts: 3, skip: [2] });
    kernel.snapshot(LINES.length);
    await store.settled;
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('the stream is heard before a busy kernel has answered the greeting', async () => {
    store.greet();
    kernel.snapshot(LINES.length);
    await store.settled;
    assert.equal(store.state.phase, 'live');
    kernel.hello();
    assert.equal(kernel.watches()[0].next, LINES.length);
  });
});

describe('garbage', () => {
  const NONSENSE: unknown[] = [
    null,
    7,
    'hello',
    [],
    {},
    { type: 'constructor' },
    { type: 'hello' },
    { type: 'hello', protocol: '1', version: 1, session: null },
    { type: 'snapshot', stream: 'a', part: 3, parts: 3, next: 1 },
    { type: 'snapshot', stream: 'a', part: 0, parts: 1e9, next: 1 },
    { type: 'snapshot', stream: 'a', part: 0, parts: 1, next: 1 },
    { type: 'events', stream: 'a', from: -1, next: NaN },
    { type: 'state', problems: [1] },
    { type: 'answer', request: 'x' },
    { type: 'refused' }
  ];

  test('is counted and changes nothing', async () => {
    greeted();
    kernel.snapshot(LINES.length);
    await store.settled;
    const before = store.state;
    NONSENSE.forEach(message => kernel.say(message));
    await store.settled;
    assert.equal(store.garbage, NONSENSE.length);
    assert.equal(store.state, before);
  });

  test('bytes that cannot be inflated are asked for again', async t => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e6 });
    greeted();
    kernel.say(
      { type: 'snapshot', stream: 'a', part: 0, parts: 1, next: 9 },
      new Uint8Array([1, 2, 3])
    );
    await store.settled;
    assert.equal(store.garbage, 1);
    t.mock.timers.tick(2000);
    assert.equal(kernel.watches()[1].stream, null);
    kernel.snapshot(6);
    kernel.say({ type: 'events', stream: 'a', from: 6, next: 12 }, new Uint8Array([9]));
    kernel.events(6, LINES.length);
    await store.settled;
    assert.equal(store.garbage, 2);
    assert.equal(store.state.session?.cells.length, CELLS);
  });
});

describe('visibility', () => {
  test('is told when it changes, with the position', async () => {
    greeted();
    kernel.snapshot(12);
    await store.settled;
    store.visible(true);
    store.visible(false);
    store.visible(false);
    const last = kernel.watches().at(-1);
    assert.equal(kernel.watches().length, 2);
    assert.deepEqual([last?.visible, last?.stream, last?.next], [false, 'a', 12]);
  });

  test('a page that goes says so', () => {
    const page = new EventTarget();
    store = new Store({ translate: asWritten, page });
    store.visible(true);
    store.attach(kernel);
    greeted();
    page.dispatchEvent(new Event('pagehide'));
    assert.equal(kernel.watches().at(-1)?.visible, false);
    page.dispatchEvent(new Event('pageshow'));
    assert.equal(kernel.watches().at(-1)?.visible, true);
  });
});

describe('the end', () => {
  test('goodbye comes after what was sent before it', async () => {
    greeted();
    kernel.snapshot(6);
    kernel.events(6, LINES.length);
    kernel.say({ type: 'goodbye' });
    await store.settled;
    assert.equal(store.state.phase, 'ended');
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('a session that begins after it is followed', async () => {
    greeted();
    kernel.snapshot(6);
    kernel.say({ type: 'goodbye' });
    kernel.hello('another');
    await store.settled;
    kernel.hello('another');
    kernel.snapshot(LINES.length, { stream: 'b' });
    await store.settled;
    assert.equal(store.state.phase, 'live');
    assert.equal(store.state.session?.cells.length, CELLS);
  });

  test('what a dead kernel sent is readable, and what was under way is dropped', async () => {
    greeted();
    kernel.snapshot(6);
    await store.settled;
    const late = kernel.onMessage;
    kernel.events(6, LINES.length);
    store.detach();
    store.enter('died');
    late?.({ type: 'asleep' }, []);
    await store.settled;
    assert.equal(store.state.phase, 'died');
    assert.equal(store.state.session?.open_cells.length, 0);
    assert.equal(store.state.session?.state, 'ended without goodbye');
  });
});

describe('requests', () => {
  test('are answered by number and client', async () => {
    greeted();
    const places = store.actions.places();
    const { client } = store;
    kernel.say({ type: 'answer', request: 1, client: 'another', value: null });
    kernel.say({ type: 'answer', request: 1, client, value: { places: [], current: 'FR' } });
    assert.deepEqual(await places, { places: [], current: 'FR' });
  });

  test('a refusal is told with its reason', async () => {
    greeted();
    const set = store.actions.setPlace('Atlantis');
    kernel.say({ type: 'refused', request: 1, client: store.client, reason: 'no such place' });
    await assert.rejects(set, /no such place/);
    assert.deepEqual(store.state.problems, []);
  });

  test('a refusal of what has no number shows as a problem', () => {
    greeted();
    kernel.say({
      type: 'refused',
      request: null,
      client: store.client,
      reason: 'no such place'
    });
    assert.deepEqual(store.state.problems, ['no such place']);
  });

  test('a kernel that does not answer, or that went, is told with what to do', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    greeted();
    const late = store.actions.examine();
    t.mock.timers.tick(30_000);
    await assert.rejects(late, /did not answer within 30 s.*try again/);
    const gone = store.actions.examine();
    store.detach();
    await assert.rejects(gone, /went away/);
  });

  test('need a session', async () => {
    await assert.rejects(store.actions.examine(), /start tracking first/);
  });
});

test('listeners are told once for many changes', async () => {
  const listener = mock.fn();
  const end = store.subscribe(listener);
  greeted();
  kernel.snapshot(12);
  kernel.events(12, LINES.length);
  await store.settled;
  await new Promise(resolve => setTimeout(resolve, 60));
  assert.ok(listener.mock.callCount() >= 1 && listener.mock.callCount() <= 2);
  end();
  store.enter('asleep');
  await new Promise(resolve => setTimeout(resolve, 60));
  assert.ok(listener.mock.callCount() <= 2);
});
