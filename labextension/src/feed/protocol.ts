/**
 * What kernel and panel say to each other. The Python twin is `jupyter_green/notebook/protocol.py`;
 * both ends name the version they speak in their greeting.
 *
 * The kernel's stream of events is told in three forms: a *snapshot* (the journal so far, thinned
 * to what a panel can draw, compressed), *events* (what came since), and silence while nobody looks
 * or nothing runs. Positions count the events of one recorder: a message covers `from` up to, and
 * without, `next`.
 */

/** Raised when a message changes its meaning. */
export const PROTOCOL = 1;

/** The comm's id, the same in every kernel: a page that was reloaded finds it without asking. */
export const COMM_ID = 'jupyter_green';
export const TARGET = 'jupyter_green';

// --- kernel to panel ---

/** Answer to a greeting; also sent unasked when tracking is loaded into a kernel. */
export interface Hello {
  type: 'hello';
  protocol: number;
  /** Of the Python package. */
  version: string;
  session: string;
}

/** A part of the journal: the bytes in the message's first buffer, joined and inflated
 * (zlib, RFC 1950), are its lines. */
export interface Snapshot {
  type: 'snapshot';
  /** The recorder that counts the positions. */
  stream: string;
  part: number;
  parts: number;
  next: number;
}

/** What came since: the first buffer, inflated, holds the lines. */
export interface Events {
  type: 'events';
  stream: string;
  from: number;
  next: number;
}

/** Nothing has run for a while: no more messages until something does. */
export interface Asleep {
  type: 'asleep';
}

/** What is wrong beside the stream (a disk that is full, a recorder that died): all of it. */
export interface State {
  type: 'state';
  problems: string[];
}

/** The session was ended (`%unload_ext`). */
export interface Goodbye {
  type: 'goodbye';
}

/** To a request that has a number. */
export interface Answer {
  type: 'answer';
  request: number;
  client: string;
  value: unknown;
}

/** What was sent cannot be used; the sentence says why. */
export interface Refused {
  type: 'refused';
  request: number | null;
  client: string | null;
  reason: string;
}

export type FromKernel =
  Hello | Snapshot | Events | Asleep | State | Goodbye | Answer | Refused;

// --- panel to kernel ---

/** Preferences that hold where nothing is configured for the kernel. */
export interface Preferences {
  place: string | null;
  price_per_kwh: number | null;
  currency: string | null;
}

export interface Greeting {
  type: 'hello';
  protocol: number;
  /** Of the labextension. */
  version: string;
  client: string;
  preferences?: Preferences;
}

/** Whether this client can be seen, and what it has: `stream` and `next` of its last message. */
export interface Watch {
  type: 'watch';
  client: string;
  visible: boolean;
  /** Seconds between two messages at the least, 0.5 to 60. */
  refresh_s: number;
  stream: string | null;
  next: number | null;
}

/** Pause or resume tracking. */
export interface Track {
  type: 'track';
  on: boolean;
}

/** Requests, answered by Answer or Refused with the same number and client. */
export interface Ask {
  type: 'ask';
  request: number;
  client: string;
  /**
   * - `places`: `{places: [{code, name}], current: string | null}`
   * - `place` with `argument` a code, a name or null: `{place, kept}`; set for good
   * - `examine`: `{findings: [{title, detail, remedy, commands, severity}]}` of doctor
   * - `savings`: likewise, what could be saved
   * - `export` with `argument` text, csv or json: `{name, media_type, text}`
   */
  what: 'places' | 'place' | 'examine' | 'savings' | 'export';
  argument?: string | null;
}

export type ToKernel = Greeting | Watch | Track | Ask;

/** Both ends of a channel as the feed sees it: a comm in Lab, a widget model elsewhere. */
export interface Link {
  send(message: ToKernel): void;
  /** Sets the one receiver. */
  onMessage: ((message: FromKernel, buffers: DataView[]) => void) | null;
}
