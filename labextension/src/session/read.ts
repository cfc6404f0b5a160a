/**
 * Events as they stand in a journal, checked and with their defaults filled in. The twin of
 * `jupyter_green.events.decode`; the tables in `vocabulary.ts` tell what an event may hold.
 */

import { EVENTS, VALUES, type AnyEvent, type Fields } from './vocabulary';

/** The value is no event: of another shape, or with fields of other types. */
export class NotAnEvent extends Error {}

/** An event of a kind that this version does not know. */
export class UnknownKind extends Error {}

type Reader = (value: unknown) => unknown;
type Plain = Record<string, unknown>;

const MOST_UJ = 2 ** 53;

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checked(holds: (value: unknown) => boolean): Reader {
  return value => {
    if (!holds(value)) {
      throw new NotAnEvent();
    }
    return value;
  };
}

function isMicrojoules(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST_UJ;
}

const SIMPLE: Record<string, Reader> = {
  string: checked(value => typeof value === 'string'),
  boolean: checked(value => typeof value === 'boolean'),
  number: checked(Number.isFinite),
  integer: checked(Number.isInteger),
  microjoules: checked(isMicrojoules),
  lag: checked(
    value => Array.isArray(value) && value.length === 2 && value.every(isMicrojoules)
  )
};

const readers = new Map(Object.entries(SIMPLE));

/** The reader of a type in short form: `number`, `Tags`, `[string]`, `{number}`, `string?`. */
function readerOf(type: string): Reader {
  let reader = readers.get(type);
  if (!reader) {
    reader = composed(type);
    readers.set(type, reader);
  }
  return reader;
}

function composed(type: string): Reader {
  if (type.endsWith('?')) {
    const inner = readerOf(type.slice(0, -1));
    return value => (value === null ? null : inner(value));
  }
  if (type.startsWith('[')) {
    return list(readerOf(type.slice(1, -1)));
  }
  if (type.startsWith('{')) {
    const simple = SIMPLE[type.slice(1, -1)];
    return simple ? simpleByName(simple) : byName(readerOf(type.slice(1, -1)));
  }
  return struct(VALUES[type]!);
}

function list(inner: Reader): Reader {
  return value => {
    if (!Array.isArray(value)) {
      throw new NotAnEvent();
    }
    return value.map(item => inner(item));
  };
}

function byName(inner: Reader): Reader {
  return value => {
    if (!isPlain(value)) {
      throw new NotAnEvent();
    }
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, inner(item)]));
  };
}

/** Readings are most of a journal: what is checked and not changed is not copied either. */
function simpleByName(inner: Reader): Reader {
  return checked(value => {
    if (!isPlain(value)) {
      return false;
    }
    for (const name in value) {
      inner(value[name]);
    }
    return true;
  });
}

function struct(fields: Fields, kind?: string): Reader {
  const read = Object.entries(fields).map(
    ([name, [type, usual]]) => [name, readerOf(type), usual] as const
  );
  return value => {
    if (!isPlain(value)) {
      throw new NotAnEvent();
    }
    const whole: Plain = kind === undefined ? {} : { kind };
    for (const [name, reader, usual] of read) {
      // A field that is required has no usual value, and no reader takes undefined.
      whole[name] = reader(value[name] === undefined ? usual : value[name]);
    }
    return whole;
  };
}

const events = new Map(
  Object.entries(EVENTS).map(([kind, fields]) => [kind, struct(fields, kind)])
);

/**
 * One event.
 *
 * @throws UnknownKind, NotAnEvent
 */
export function read(value: unknown): AnyEvent {
  if (!isPlain(value) || typeof value.kind !== 'string') {
    throw new NotAnEvent();
  }
  const reader = events.get(value.kind);
  if (!reader) {
    throw new UnknownKind();
  }
  return reader(value) as AnyEvent;
}
