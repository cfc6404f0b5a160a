import type { ISessionContext } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Store } from '../feed/store';
import { Connection } from './connection';
import { goToCell } from './identity';
import type { Settings } from './settings';
import { loadTracking, type Outcome } from './start';

/** The kernel cannot be spoken to until its status changes again. */
const AWAY: readonly string[] = ['restarting', 'autorestarting', 'terminating'];

export interface TrackingOptions {
  settings: Settings;
  trans: TranslationBundle;
  /** Brings a notebook to the front. */
  activate: (panel: NotebookPanel) => void;
}

/**
 * The store of one notebook, and what its kernel makes of it.
 *
 * Whether a cell runs is never taken from the kernel's status: messages to a subshell let Lab show
 * a busy kernel as idle.
 */
export class Tracking {
  readonly panel: NotebookPanel;
  readonly store: Store;
  #settings: Settings;
  #trans: TranslationBundle;
  #connection: Connection | null = null;
  /** Of the kernel that is being spoken to; ends when it restarts, dies or loses its connection. */
  #life: object | null = null;

  constructor(panel: NotebookPanel, { settings, trans, activate }: TrackingOptions) {
    this.panel = panel;
    this.#settings = settings;
    this.#trans = trans;
    this.store = new Store({
      translate: (text, ...values) => trans.__(text, ...values),
      start: () => this.start(),
      goToCell: cell => {
        activate(panel);
        void goToCell(panel.content, cell);
      },
      page: window
    });
    this.#follow();
  }

  /** Loads tracking into the kernel; what came of it shows in the store's phase. */
  async start(): Promise<void> {
    const connection = this.#connection;
    const life = this.#life;
    if (connection === null || life === null) {
      throw new Error(this.#trans.__('There is no kernel to track: start one first.'));
    }
    const outcome = await loadTracking(connection.kernel).catch(aborted);
    if (this.#life === life) {
      this.#started(outcome);
    }
  }

  dispose(): void {
    const { sessionContext, context } = this.panel;
    sessionContext.kernelChanged.disconnect(this.#look, this);
    sessionContext.statusChanged.disconnect(this.#look, this);
    sessionContext.connectionStatusChanged.disconnect(this.#look, this);
    context.pathChanged.disconnect(this.#rename, this);
    this.#settings.changed.disconnect(this.#configure, this);
    this.store.dispose();
    this.#connection?.dispose();
    this.#life = null;
  }

  #follow(): void {
    const { sessionContext, context } = this.panel;
    sessionContext.kernelChanged.connect(this.#look, this);
    sessionContext.statusChanged.connect(this.#look, this);
    sessionContext.connectionStatusChanged.connect(this.#look, this);
    void sessionContext.ready.then(() => this.#look());
    context.pathChanged.connect(this.#rename, this);
    this.#settings.changed.connect(this.#configure, this);
    this.store.subscribe(() => this.#release());
    this.#rename();
    this.#configure();
    this.#look();
  }

  /** A session that was ended needs no thread in the kernel any more. */
  #release(): void {
    if (this.store.state.phase === 'ended') {
      void this.#connection?.release();
    }
  }

  #rename(): void {
    this.store.name(this.panel.context.path.split('/').pop() ?? '');
  }

  #configure(): void {
    this.store.configure(this.#settings.configuration);
  }

  /** Called at every change: sees where the kernel stands now. */
  #look(): void {
    if (this.panel.isDisposed) {
      return;
    }
    const kernel = this.panel.sessionContext.session?.kernel ?? null;
    if (kernel === null || !reachable(kernel)) {
      return this.#away(kernel);
    }
    if (this.#life === null || this.#connection?.kernel !== kernel) {
      void this.#meet(kernel, (this.#life = {}));
    }
  }

  #away(kernel: Kernel.IKernelConnection | null): void {
    const seen = this.#life !== null;
    this.#life = null;
    this.#connection?.dispose();
    this.#connection = null;
    this.store.detach();
    const phase = this.#phaseAway(kernel, seen);
    if (phase !== null) {
      this.store.enter(phase);
    }
  }

  #phaseAway(kernel: Kernel.IKernelConnection | null, seen: boolean) {
    if (kernel === null) {
      return settling(this.panel.sessionContext) ? 'starting' : 'no-kernel';
    }
    if (kernel.status === 'dead') {
      return 'died';
    }
    if (AWAY.includes(kernel.status)) {
      return 'starting';
    }
    // Between the loss of the connection and its return there are several changes.
    return seen ? 'disconnected' : null;
  }

  async #meet(kernel: Kernel.IKernelConnection, life: object): Promise<void> {
    this.#connection?.dispose();
    const connection = new Connection(kernel);
    this.#connection = connection;
    this.store.attach(connection);
    this.store.enter('starting');
    const spec = await kernel.spec.catch(() => undefined);
    const language = spec?.language ?? 'python';
    if (this.#life !== life) {
      return;
    }
    if (language.toLowerCase() !== 'python') {
      this.store.enter('other-language', language);
      return;
    }
    await this.#discover(connection, life);
  }

  async #discover(connection: Connection, life: object): Promise<void> {
    const tracked = await connection.isTracked().catch(() => null);
    if (this.#life !== life || this.store.tracked || tracked === null) {
      return;
    }
    if (tracked) {
      this.store.greet();
      return;
    }
    this.store.enter(this.store.state.session === null ? 'untracked' : 'died');
    if (this.#settings.values.autoStart) {
      // Where it comes to nothing, Start is still offered.
      await this.start().catch(() => undefined);
    }
  }

  #started(outcome: Outcome): void {
    switch (outcome.result) {
      case 'loaded':
        // Its greeting may have come already; where tracking was loaded before, none comes.
        if (!this.store.tracked && this.store.state.phase !== 'versions') {
          this.store.greet();
        }
        return;
      case 'aborted':
        throw new Error(
          this.#trans.__(
            'The kernel dropped the request, as it does after an error in a cell: try again.'
          )
        );
      default:
        this.store.enter(outcome.result, outcome.detail);
    }
  }
}

function reachable(kernel: Kernel.IKernelConnection): boolean {
  return (
    kernel.connectionStatus === 'connected' &&
    kernel.status !== 'dead' &&
    !AWAY.includes(kernel.status)
  );
}

/** Whether a kernel is on its way; `isReady` stays false in a notebook whose kernel was shut down. */
function settling({ kernelDisplayStatus }: ISessionContext): boolean {
  return ['initializing', 'starting', 'restarting'].includes(kernelDisplayStatus);
}

function aborted(): Outcome {
  return { result: 'aborted' };
}
