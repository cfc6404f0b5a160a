import type { Answer, Ask, Refused } from './protocol';
import type { Translate } from './translate';

/** A kernel that is free answers in milliseconds, but for an examination of the machine. */
const PATIENCE_MS = 30_000;

interface Pending {
  resolve: (value: unknown) => void;
  reject: (reason: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** Questions to the kernel that have not been answered yet. */
export class Requests {
  #client: string;
  #translate: Translate;
  #last = 0;
  #pending = new Map<number, Pending>();

  constructor(client: string, translate: Translate) {
    this.#client = client;
    this.#translate = translate;
  }

  ask(
    send: (message: Ask) => void,
    what: Ask['what'],
    argument: string | null = null
  ): Promise<unknown> {
    const request = ++this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#tooLate(request), PATIENCE_MS);
      this.#pending.set(request, { resolve, reject, timer });
      send({ type: 'ask', request, client: this.#client, what, argument });
    });
  }

  answered(message: Answer): void {
    if (message.client === this.#client) {
      this.#take(message.request)?.resolve(message.value);
    }
  }

  /** Whether it was a request of ours. */
  refused(message: Refused): boolean {
    const pending = message.client === this.#client ? this.#take(message.request) : undefined;
    pending?.reject(new Error(message.reason));
    return pending !== undefined;
  }

  /** The kernel is gone: nothing will be answered any more. */
  abandon(): void {
    const reason = this.#translate(
      'The kernel went away before it answered: try again when it is back.'
    );
    for (const request of [...this.#pending.keys()]) {
      this.#take(request)?.reject(new Error(reason));
    }
  }

  #tooLate(request: number): void {
    const reason = this.#translate(
      'The kernel did not answer within %1 s. Some kernels answer only between two cells: ' +
        'wait until the running cell has finished, or interrupt it, and try again.',
      PATIENCE_MS / 1000
    );
    this.#take(request)?.reject(new Error(reason));
  }

  #take(request: number | null): Pending | undefined {
    const pending = request === null ? undefined : this.#pending.get(request);
    if (pending !== undefined && request !== null) {
      clearTimeout(pending.timer);
      this.#pending.delete(request);
    }
    return pending;
  }
}
