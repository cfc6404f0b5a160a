/** Events for tests, in the short form in which a journal holds them. */

export interface Event {
  kind: string;
  t: number;
  [field: string]: unknown;
}

export function counter(name: string, more: object = {}): object {
  return {
    name,
    domain: 'package',
    source: 'rapl',
    provenance: 'measured',
    resolution_s: 0.001,
    ...more
  };
}

export function started(counters: object[], more: object = {}): Event {
  return {
    kind: 'session_started',
    t: 0,
    format: '1.0',
    session: 's',
    version: '0',
    wall_s: 1_700_000_000,
    host: 'h',
    boot_id: 'b',
    pid: 1,
    process_started: 0,
    counters,
    ...more
  };
}

/** A session of many short cells on four counters; every third reruns the one before it. */
export function manyCells(cells: number): Event[] {
  const names = ['package-0', 'dram-0', 'core-0', 'gpu-0'];
  const counters = names.map(name => counter(name, { counted: name !== 'core-0' }));
  const stamp = (t: number) => ({
    uj: Object.fromEntries(names.map((name, index) => [name, (index + 1) * t * 1e6])),
    error_uj: Object.fromEntries(names.map(name => [name, [50, 900]]))
  });
  const events = [started(counters, stamp(0))];
  for (let number = 1; number <= cells; number++) {
    const cell = `c${number - (number % 3 === 0 ? 1 : 0)}`;
    const [from, until] = [2 * number - 1, 2 * number];
    events.push(
      { kind: 'cell_started', t: from, ...stamp(from), number, cell, first_line: 'fit()' },
      { kind: 'cell_finished', t: until, ...stamp(until), number, status: 'ok' }
    );
  }
  return events;
}

export function lines(events: readonly object[]): string {
  return events.map(event => `${JSON.stringify(event)}\n`).join('');
}
