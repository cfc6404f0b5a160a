import { download, isExportedFile } from './download';
import type {
  Actions,
  ExportFormat,
  Finding,
  PanelModel,
  Phase,
  Places,
  State,
  Units
} from './panel';
import type { Bytes } from './parts';
import {
  type Ask,
  type FromKernel,
  type Hello,
  type Link,
  type Preferences,
  PROTOCOL,
  type Refused,
  type Snapshot
} from './protocol';
import { Requests } from './requests';
import { Stream } from './stream';
import type { Translate } from './translate';
import { understood } from './understand';
import { VERSION } from './version';

/** Between two requests for what is missing. */
const RESYNC_MS = 2_000;

/** Without a further part of a snapshot for this long, it is asked for again. */
const PARTS_MS = 5_000;

/** Phases in which the kernel has a session that is being followed. */
const TRACKED: readonly Phase[] = ['loading', 'live', 'asleep'];

export interface StoreOptions {
  translate: Translate;
  /** Loads tracking into the kernel. */
  start?: () => Promise<void>;
  goToCell?: (cell: string) => void;
  /** Where `pagehide` and `pageshow` are heard; none outside of a browser. */
  page?: EventTarget | null;
}

export interface Configuration {
  preferences: Preferences;
  refresh_s: number;
  units: Units;
}

const PLAIN: Configuration = {
  preferences: { place: null, price_per_kwh: null, currency: null },
  refresh_s: 1,
  units: 'auto'
};

/** One notebook's session as its kernel tells it over a link, and what can be asked of it. */
export class Store implements PanelModel {
  readonly actions: Actions;
  readonly client = randomName();
  #options: StoreOptions;
  #translate: Translate;
  #stream: Stream;
  #requests: Requests;
  #state: State;
  #link: Link | null = null;
  #configuration = PLAIN;
  #greeted = false;
  #watching: string | null = null;
  #visible = false;
  #hidden = false;
  #garbage = 0;
  #resync: Timer | null = null;
  #resynced_ms = -Infinity;
  #impatience: Timer | null = null;
  #listeners = new Set<() => void>();
  #frame: number | null = null;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#translate = options.translate;
    this.#requests = new Requests(this.client, options.translate);
    this.#stream = new Stream({
      changed: () => this.#grown(),
      behind: () => this.#behind(),
      tooNew: reason => this.#tooNew(reason)
    });
    this.#state = nothingYet();
    this.actions = this.#possible();
    options.page?.addEventListener('pagehide', this.#onPageHide);
    options.page?.addEventListener('pageshow', this.#onPageShow);
  }

  get state(): State {
    return this.#state;
  }

  /** Whether the kernel has a session that is being followed. */
  get tracked(): boolean {
    return TRACKED.includes(this.#state.phase);
  }

  /** Messages from the kernel that could not be used. */
  get garbage(): number {
    return this.#garbage + this.#stream.garbage;
  }

  /** Resolves when all that has arrived is in the state. */
  get settled(): Promise<void> {
    return this.#stream.settled;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hears a kernel from now on; nothing is sent to it before `greet`. */
  attach(link: Link): void {
    this.detach();
    this.#link = link;
    link.onMessage = (message, buffers) => this.#receive(message, buffers);
  }

  /** The kernel is gone, or another one takes its place. What was seen stays readable. */
  detach(): void {
    if (this.#link !== null) {
      this.#link.onMessage = null;
      this.#link = null;
    }
    this.#greeted = false;
    this.#watching = null;
    this.#stream.forget();
    this.#stopTimers();
    this.#requests.abandon();
  }

  greet(): void {
    if (this.#greeted) {
      return;
    }
    this.#greeted = true;
    this.#watching = null;
    this.enter('loading');
    this.#introduce();
  }

  enter(phase: Phase, detail = ''): void {
    if (phase === 'died') {
      this.#stream.bury();
      this.#change({ session: this.#stream.session, version: this.#state.version + 1 });
    }
    if (phase !== this.#state.phase || detail !== this.#state.detail) {
      this.#change({ phase, detail });
    }
  }

  name(notebook: string): void {
    this.#change({ notebook });
  }

  configure(configuration: Configuration): void {
    const before = this.#configuration;
    this.#configuration = configuration;
    if (this.#greeted && !same(before.preferences, configuration.preferences)) {
      this.#introduce();
    }
    if (before.refresh_s !== configuration.refresh_s) {
      this.#watch();
    }
    this.#change({ units: configuration.units });
  }

  /** Whether anybody sees what this store holds. */
  visible(on: boolean): void {
    const before = this.#seen;
    this.#visible = on;
    if (this.#seen !== before) {
      this.#watch();
    }
  }

  dispose(): void {
    this.visible(false);
    this.detach();
    this.#listeners.clear();
    this.#options.page?.removeEventListener('pagehide', this.#onPageHide);
    this.#options.page?.removeEventListener('pageshow', this.#onPageShow);
  }

  // --- from the kernel ---

  #receive(given: unknown, buffers: readonly DataView[]): void {
    const message = understood(given);
    const bytes = buffers.length > 0 ? bytesOf(buffers[0]) : null;
    if (message === null || (carriesBytes(message) && bytes === null)) {
      this.#garbage += 1;
      return;
    }
    this.#heed(message, bytes ?? new Uint8Array());
  }

  #heed(message: FromKernel, bytes: Bytes): void {
    switch (message.type) {
      case 'hello':
        return this.#welcomed(message);
      case 'snapshot':
        return this.#hears() ? this.#collect(message, bytes) : undefined;
      case 'events':
        return this.#hears() ? this.#stream.events(message, bytes) : undefined;
      case 'asleep':
        return this.#stream.then(() => this.#fallAsleep());
      case 'goodbye':
        return this.#ended();
      case 'state':
        return this.#change({ problems: message.problems });
      case 'answer':
        return this.#requests.answered(message);
      case 'refused':
        return this.#refused(message);
    }
  }

  #collect(message: Snapshot, bytes: Bytes): void {
    this.#stream.snapshot(message, bytes);
    this.#awaitParts();
  }

  /**
   * Whether the stream can be understood. It is heard before the kernel has answered a greeting:
   * one without subshells answers when its cell has finished, and sends snapshots until then. Any
   * message shows that tracking is loaded, so that the kernel can be greeted.
   */
  #hears(): boolean {
    if (this.#state.phase === 'versions') {
      return false;
    }
    this.greet();
    return true;
  }

  #welcomed(hello: Hello): void {
    if (hello.protocol !== PROTOCOL) {
      this.#watching = null;
      this.enter('versions', this.#apart(hello));
    } else if (!this.#greeted) {
      this.greet();
    } else if (this.#watching !== hello.session) {
      this.#watching = hello.session;
      this.#watch();
    }
  }

  #apart(hello: Hello): string {
    return hello.protocol < PROTOCOL
      ? this.#translate(
          'The package jupyter-green in the kernel (%1) is older than this panel (%2): run ' +
            '“pip install --upgrade jupyter-green” in the kernel’s environment, then restart the kernel.',
          hello.version,
          VERSION
        )
      : this.#translate(
          'This panel (%2) is older than the package jupyter-green in the kernel (%1): run ' +
            '“pip install --upgrade jupyter-green” where Jupyter itself is installed, then restart ' +
            'Jupyter and reload this page.',
          hello.version,
          VERSION
        );
  }

  #tooNew(reason: string): void {
    this.#watching = null;
    this.enter('versions', reason);
  }

  #fallAsleep(): void {
    if (this.tracked) {
      this.enter('asleep');
    }
  }

  /** What came before the goodbye is folded first; meanwhile tracking may have been loaded anew. */
  #ended(): void {
    this.#greeted = false;
    this.#watching = null;
    this.#stopTimers();
    this.#stream.then(() => {
      if (!this.#greeted) {
        this.#stream.forget();
        this.enter('ended');
      }
    });
  }

  /**
   * What had no number concerns what was sent without one: before a hello, the greeting itself;
   * else it is told beside the stream.
   */
  #refused(message: Refused): void {
    if (this.#requests.refused(message) || message.client !== this.client) {
      return;
    }
    if (this.#watching === null) {
      this.enter('failed', message.reason);
    } else {
      this.#change({ problems: [...this.#state.problems, message.reason] });
    }
  }

  #grown(): void {
    const { session } = this.#stream;
    const version = this.#state.version + 1;
    this.#change({ session, version, phase: 'live', detail: '', received_ms: Date.now() });
  }

  // --- to the kernel ---

  #introduce(): void {
    const { preferences } = this.#configuration;
    const { client } = this;
    this.#link?.send({
      type: 'hello',
      protocol: PROTOCOL,
      version: VERSION,
      client,
      preferences
    });
  }

  get #seen(): boolean {
    return this.#visible && !this.#hidden;
  }

  #watch(): void {
    if (this.#watching === null) {
      return;
    }
    const { stream, next } = this.#stream.position ?? { stream: null, next: null };
    const { refresh_s } = this.#configuration;
    const { client } = this;
    this.#resynced_ms = Date.now();
    this.#link?.send({ type: 'watch', client, visible: this.#seen, refresh_s, stream, next });
  }

  #behind(): void {
    if (this.#resync === null && this.#watching !== null && this.#seen) {
      const wait_ms = Math.max(0, this.#resynced_ms + RESYNC_MS - Date.now());
      this.#resync = setTimeout(() => {
        this.#resync = null;
        this.#watch();
      }, wait_ms);
    }
  }

  #awaitParts(): void {
    clearTimeout(this.#impatience ?? undefined);
    this.#impatience = null;
    if (this.#stream.collecting) {
      this.#impatience = setTimeout(() => {
        this.#impatience = null;
        this.#stream.dropParts();
        this.#behind();
      }, PARTS_MS);
    }
  }

  #stopTimers(): void {
    clearTimeout(this.#resync ?? undefined);
    clearTimeout(this.#impatience ?? undefined);
    this.#resync = null;
    this.#impatience = null;
  }

  // --- for the view ---

  #possible(): Actions {
    const { start, goToCell } = this.#options;
    return {
      start: () => (start ? start() : Promise.reject(this.#cannotStart())),
      track: on => Promise.resolve(this.#link?.send({ type: 'track', on })),
      places: () => this.#ask('places') as Promise<Places>,
      setPlace: place => this.#setPlace(place),
      examine: () => this.#findings('examine'),
      savings: () => this.#findings('savings'),
      exportAs: format => this.#export(format),
      ...(goToCell ? { goToCell } : {})
    };
  }

  #cannotStart(): Error {
    return new Error(
      this.#translate(
        'Run %1 in a cell of the notebook to start tracking.',
        '%load_ext jupyter_green'
      )
    );
  }

  #ask(what: Ask['what'], argument: string | null = null): Promise<unknown> {
    if (this.#link === null || !this.tracked) {
      const reason = this.#translate(
        'The notebook is not being tracked: start tracking first.'
      );
      return Promise.reject(new Error(reason));
    }
    return this.#requests.ask(message => this.#link?.send(message), what, argument);
  }

  async #setPlace(place: string | null): Promise<string> {
    const set = (await this.#ask('place', place)) as { place: string | null; kept: string };
    const said =
      set.place === null
        ? this.#translate('The place is forgotten: no CO₂ is computed.')
        : this.#translate('Electricity is counted as that of %1 from now on.', set.place);
    return `${said} ${set.kept}`;
  }

  async #findings(what: 'examine' | 'savings'): Promise<Finding[]> {
    const { findings } = (await this.#ask(what)) as { findings: Finding[] };
    return findings;
  }

  async #export(format: ExportFormat): Promise<void> {
    const file = await this.#ask('export', format);
    if (!isExportedFile(file)) {
      throw new Error(
        this.#translate('The kernel’s answer holds no file: update jupyter-green.')
      );
    }
    download(file);
  }

  #change(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    this.#frame ??= nextFrame(() => {
      this.#frame = null;
      for (const listener of [...this.#listeners]) {
        listener();
      }
    });
  }

  #onPageHide = (): void => {
    this.#hide(true);
  };

  #onPageShow = (): void => {
    this.#hide(false);
  };

  #hide(hidden: boolean): void {
    const before = this.#seen;
    this.#hidden = hidden;
    if (this.#seen !== before) {
      this.#watch();
    }
  }
}

type Timer = ReturnType<typeof setTimeout>;

function nothingYet(): State {
  return {
    phase: 'starting',
    detail: '',
    notebook: '',
    session: null,
    version: 0,
    problems: [],
    received_ms: 0,
    units: 'auto'
  };
}

function carriesBytes(message: FromKernel): boolean {
  return message.type === 'snapshot' || message.type === 'events';
}

/** A copy: the view of a message's buffer may not outlive the message. */
function bytesOf(buffer: DataView): Bytes | null {
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.byteLength).slice()
    : null;
}

function same(one: Preferences, other: Preferences): boolean {
  return (
    one.place === other.place &&
    one.price_per_kwh === other.price_per_kwh &&
    one.currency === other.currency
  );
}

function nextFrame(work: () => void): number {
  return typeof requestAnimationFrame === 'undefined'
    ? Number(setTimeout(work, 16))
    : requestAnimationFrame(work);
}

/** Not `randomUUID`, which pages have over https only. */
function randomName(): string {
  return crypto
    .getRandomValues(new Uint32Array(2))
    .reduce((name, part) => name + part.toString(16), '');
}
