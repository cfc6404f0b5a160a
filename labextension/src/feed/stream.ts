import { Fold } from '../session/fold';
import { NewerFormat } from '../session/format';
import type { Session } from '../session/model';
import { inflate } from './inflate';
import { type Bytes, Parts } from './parts';
import type { Events, Snapshot } from './protocol';
import { forEachLine } from './slices';

/** How far the events of one recorder have been folded. */
export interface Position {
  stream: string;
  next: number;
}

/** More than this waiting for a snapshot is dropped; the gap is asked for afterwards. */
const MOST_HELD = 1_000;

export interface StreamOptions {
  /** The session has grown. */
  changed: () => void;
  /** Something is missing: the kernel has to be asked for it. */
  behind: () => void;
  /** The session's format is newer than this panel knows. */
  tooNew: (reason: string) => void;
}

/**
 * Folds snapshots and events in the order of their positions, one at a time.
 *
 * Inflating and folding take time in which more arrives, so all of it stands in one queue, and
 * what a message is worth is judged when its turn has come.
 */
export class Stream {
  /** Messages that could not be used. */
  garbage = 0;
  #options: StreamOptions;
  #fold: Fold | null = null;
  #session: Session | null = null;
  #position: Position | null = null;
  #parts: Parts | null = null;
  #held: [Events, Bytes][] = [];
  #work: Promise<void> = Promise.resolve();
  /** Counts how often what was under way became worthless. */
  #life = 0;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get session(): Session | null {
    return this.#session;
  }

  get position(): Position | null {
    return this.#position;
  }

  /** The session with all that was open ended, as it is when its kernel has died. */
  bury(): void {
    if (this.#fold?.begun && !this.#fold.ended) {
      this.#session = this.#fold.session(true);
    }
  }

  /** Resolves when all that has arrived is folded. */
  get settled(): Promise<void> {
    return this.#work;
  }

  /** What comes next is another stream, or this one anew; the session stays readable. */
  forget(): void {
    this.#life += 1;
    this.#position = null;
    this.dropParts();
  }

  /** The rest of the parts will not come. */
  dropParts(): void {
    this.#parts = null;
    this.#held = [];
  }

  get collecting(): boolean {
    return this.#parts !== null;
  }

  /** Does something after all that has arrived before it. */
  then(job: () => void | Promise<void>): void {
    const life = this.#life;
    this.#work = this.#work
      .then(() => (life === this.#life ? job() : undefined))
      .catch((error: unknown) => (life === this.#life ? this.#failed(error) : undefined));
  }

  snapshot(message: Snapshot, bytes: Bytes): void {
    if (this.#known(message)) {
      return;
    }
    if (!this.#parts?.fits(message)) {
      this.dropParts();
      this.#parts = new Parts(message);
    }
    this.#parts?.add(message.part, bytes);
    const whole = this.#parts?.whole;
    if (whole) {
      this.#complete(message, whole);
    }
  }

  events(message: Events, bytes: Bytes): void {
    if (this.collecting && this.#held.length < MOST_HELD) {
      this.#held.push([message, bytes]);
    } else {
      this.then(() => this.#foldOn(message, bytes));
    }
  }

  #complete(message: Snapshot, whole: Bytes[]): void {
    const held = this.#held;
    this.dropParts();
    this.then(() => this.#foldAnew(message, whole));
    for (const [events, bytes] of held) {
      this.then(() => this.#foldOn(events, bytes));
    }
  }

  async #foldAnew(message: Snapshot, whole: Bytes[]): Promise<void> {
    if (this.#known(message)) {
      return;
    }
    await this.#feed(new Fold(), message, await inflate(whole));
  }

  async #foldOn(message: Events, bytes: Bytes): Promise<void> {
    if (this.#known(message)) {
      return;
    }
    const here = this.#position;
    if (this.#fold === null || here?.stream !== message.stream || here.next !== message.from) {
      this.#options.behind();
      return;
    }
    await this.#feed(this.#fold, message, await inflate([bytes]));
  }

  async #feed(fold: Fold, { stream, next }: Position, text: string): Promise<void> {
    const life = this.#life;
    await forEachLine(text, line => fold.feedLines(line));
    if (life === this.#life) {
      this.#fold = fold;
      this.#session = fold.begun ? fold.session() : null;
      this.#position = { stream, next };
      this.#options.changed();
    }
  }

  /** Two clients of one kernel hear what is sent to either of them. */
  #known({ stream, next }: Position): boolean {
    return this.#position?.stream === stream && next <= this.#position.next;
  }

  #failed(error: unknown): void {
    if (error instanceof NewerFormat) {
      this.#options.tooNew(error.message);
      return;
    }
    this.garbage += 1;
    this.#options.behind();
  }
}
