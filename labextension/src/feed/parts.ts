import type { Snapshot } from './protocol';

export type Bytes = Uint8Array<ArrayBuffer>;

/** The parts of one snapshot, in whatever order they come. */
export class Parts {
  readonly stream: string;
  readonly next: number;
  #parts: (Bytes | undefined)[];
  #missing: number;

  constructor(first: Snapshot) {
    this.stream = first.stream;
    this.next = first.next;
    this.#parts = new Array<Bytes | undefined>(first.parts).fill(undefined);
    this.#missing = first.parts;
  }

  /** Whether the part belongs to the same snapshot. */
  fits(message: Snapshot): boolean {
    return (
      message.stream === this.stream &&
      message.next === this.next &&
      message.parts === this.#parts.length
    );
  }

  add(part: number, bytes: Bytes): void {
    if (this.#parts[part] === undefined) {
      this.#missing -= 1;
    }
    this.#parts[part] = bytes;
  }

  /** All parts in their order; null while one is missing. */
  get whole(): Bytes[] | null {
    return this.#missing === 0 ? (this.#parts as Bytes[]) : null;
  }
}
