/** What the view sees of the world: a state that changes, and things that can be done. */

import type { Session } from '../session/model';

/**
 * Where the panel stands. Each has its own plain sentence and its next step.
 *
 * - `no-notebook` no notebook is active
 * - `no-kernel` the notebook has none
 * - `starting` the kernel starts, or the connection to it is being made
 * - `other-language` the kernel is not Python (`detail`: its language)
 * - `untracked` tracking is not loaded: Start loads it
 * - `not-installed` the kernel's environment lacks the package (`detail`: what was tried)
 * - `failed` tracking could not be loaded (`detail`: the kernel's error)
 * - `versions` panel and package do not understand each other (`detail`: which is older and how to
 *   update it, as a sentence)
 * - `loading` greeted; the session is on its way
 * - `live` messages come
 * - `asleep` nothing has run for a while, so the kernel has stopped sending
 * - `ended` the session was ended in its kernel; it can be read, and Start begins another
 * - `died` the kernel died or was restarted; what was seen last can be read
 * - `disconnected` no connection to the server at present
 */
export type Phase =
  | 'no-notebook'
  | 'no-kernel'
  | 'starting'
  | 'other-language'
  | 'untracked'
  | 'not-installed'
  | 'failed'
  | 'versions'
  | 'loading'
  | 'live'
  | 'asleep'
  | 'ended'
  | 'died'
  | 'disconnected';

export interface State {
  phase: Phase;
  detail: string;
  /** Name of the notebook's file, for the title; empty where it is not known. */
  notebook: string;
  /** The session as far as it is known. One object for life: `version` tells when it has grown. */
  session: Session | null;
  /** Counts up with every change of the session. */
  version: number;
  /** What is wrong beside the stream, in sentences. */
  problems: readonly string[];
  /** Wall time (ms) of the last message, for what lies in the past. */
  received_ms: number;
  units: Units;
}

/** `auto` chooses per figure from µJ to GWh; the others hold everywhere. */
export type Units = 'auto' | 'J' | 'Wh';

export interface Place {
  code: string;
  name: string;
}

export interface Places {
  places: Place[];
  /** The code in force now. */
  current: string | null;
}

/** One finding of doctor. */
export interface Finding {
  title: string;
  detail: string;
  remedy: string;
  /** Lines to copy into a terminal. */
  commands: string[];
  severity: 'ok' | 'note' | 'problem';
}

export type ExportFormat = 'html' | 'markdown' | 'csv' | 'json';

/** What can be done. A rejected promise carries a sentence for the user. */
export interface Actions {
  /** Load tracking into the kernel. */
  start(): Promise<void>;
  /** Pause and resume. */
  track(on: boolean): Promise<void>;
  places(): Promise<Places>;
  /** Set (null: forget) the place, for good. Resolves to a sentence. */
  setPlace(place: string | null): Promise<string>;
  examine(): Promise<Finding[]>;
  /** Where energy could be saved, the most first. */
  savings(): Promise<Finding[]>;
  /** Hands a file with the session so far to the user. */
  exportAs(format: ExportFormat): Promise<void>;
  /** Scrolls to the cell with this hashed identity; absent where there are no cells to go to. */
  goToCell?: (cell: string) => void;
}

export interface PanelModel {
  readonly state: State;
  readonly actions: Actions;
  /** Calls the listener after every change, at most once a frame; returns how to end that. */
  subscribe(listener: () => void): () => void;
}
