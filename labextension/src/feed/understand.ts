/** What comes from a kernel is checked before it is believed. */

import type { FromKernel } from './protocol';

type Fields = Record<string, unknown>;

/** More parts than a snapshot of 1 MB can have: a number beyond it is no part count. */
const MOST_PARTS = 10_000;

const CHECKS: Record<FromKernel['type'], (fields: Fields) => boolean> = {
  hello: fields => isCount(fields.protocol) && isText(fields.version) && isText(fields.session),
  snapshot: fields =>
    isText(fields.stream) &&
    isCount(fields.part) &&
    isCount(fields.parts) &&
    fields.part < fields.parts &&
    fields.parts <= MOST_PARTS &&
    isCount(fields.next),
  events: fields => isText(fields.stream) && isCount(fields.from) && isCount(fields.next),
  asleep: () => true,
  state: fields => Array.isArray(fields.problems) && fields.problems.every(isText),
  goodbye: () => true,
  answer: fields => isCount(fields.request) && isText(fields.client),
  refused: fields => isText(fields.reason)
};

/** The message, or null where it is none that a kernel may send. */
export function understood(message: unknown): FromKernel | null {
  if (typeof message !== 'object' || message === null) {
    return null;
  }
  const fields = message as Fields;
  const check = Object.hasOwn(CHECKS, String(fields.type))
    ? CHECKS[fields.type as FromKernel['type']]
    : undefined;
  return check?.(fields) ? (message as FromKernel) : null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
