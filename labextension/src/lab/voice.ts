import type { Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';

/** A kernel that runs nothing has introduced itself by then. */
const GRACE_MS = 100;

/**
 * The connection to speak to a kernel through.
 *
 * In a page that was reloaded in the middle of a cell, Lab keeps all messages back for 3 s: it
 * waits for the kernel to introduce itself, which it does when the cell has finished. Until then a
 * connection of our own speaks; what the kernel says is heard through both.
 */
export class Voice implements IDisposable {
  /** Resolves when something can be said. */
  readonly ready: Promise<void>;
  #kernel: Kernel.IKernelConnection;
  #own: Kernel.IKernelConnection | null = null;
  #disposed = false;

  constructor(kernel: Kernel.IKernelConnection) {
    this.#kernel = kernel;
    this.ready = this.#prepare();
  }

  get connection(): Kernel.IKernelConnection {
    return this.#own ?? this.#kernel;
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    this.#disposed = true;
    this.#hush();
  }

  async #prepare(): Promise<void> {
    const introduced = this.#kernel.info.then(
      () => true,
      () => true
    );
    if ((await Promise.race([introduced, after(GRACE_MS)])) || this.#disposed) {
      return;
    }
    const own = this.#kernel.clone({ handleComms: false });
    this.#own = own;
    void introduced.then(() => this.#hush());
    await Promise.race([connected(own), introduced]);
  }

  /** A socket that is closed before it is open makes the browser warn. */
  #hush(): void {
    const own = this.#own;
    this.#own = null;
    if (own !== null) {
      void connected(own).then(() => own.dispose());
    }
  }
}

function after(ms: number): Promise<false> {
  return new Promise(resolve => setTimeout(() => resolve(false), ms));
}

/** Or found out of reach. What is said before would be kept back as well. */
function connected(kernel: Kernel.IKernelConnection): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (kernel.connectionStatus !== 'connecting') {
        kernel.connectionStatusChanged.disconnect(look);
        resolve();
      }
    };
    kernel.connectionStatusChanged.connect(look);
    look();
  });
}
