import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { type ISignal, Signal } from '@lumino/signaling';
import { Tracking, type TrackingOptions } from './tracking';

/** All notebooks' stores, and which of them is looked at. */
export class Notebooks {
  #tracker: INotebookTracker;
  #options: TrackingOptions;
  #known = new Map<NotebookPanel, Tracking>();
  #active: Tracking | null = null;
  #activeChanged = new Signal<this, Tracking | null>(this);
  #added = new Signal<this, Tracking>(this);
  #panelShown = false;

  constructor(tracker: INotebookTracker, options: TrackingOptions) {
    this.#tracker = tracker;
    this.#options = options;
  }

  /** Once the settings are known. */
  begin(): void {
    this.#tracker.widgetAdded.connect((_, panel) => this.#trackingOf(panel));
    this.#tracker.currentChanged.connect(() => this.#switch());
    this.#options.settings.changed.connect(() => this.#look());
    document.addEventListener('visibilitychange', () => this.#look());
    this.#tracker.forEach(panel => void this.#trackingOf(panel));
    this.#switch();
  }

  get active(): Tracking | null {
    return this.#active;
  }

  /** Another notebook is the active one, or none. A console or a file leaves the last one. */
  get activeChanged(): ISignal<this, Tracking | null> {
    return this.#activeChanged;
  }

  get added(): ISignal<this, Tracking> {
    return this.#added;
  }

  set panelShown(shown: boolean) {
    this.#panelShown = shown;
    this.#look();
  }

  /** The current widget can be known before it is said to have been added. */
  #trackingOf(panel: NotebookPanel): Tracking {
    let tracking = this.#known.get(panel);
    if (tracking === undefined) {
      tracking = new Tracking(panel, this.#options);
      this.#known.set(panel, tracking);
      panel.disposed.connect(() => this.#close(panel));
      this.#added.emit(tracking);
    }
    return tracking;
  }

  #close(panel: NotebookPanel): void {
    const tracking = this.#known.get(panel);
    this.#known.delete(panel);
    if (tracking === this.#active) {
      this.#switch();
    }
    tracking?.dispose();
  }

  #switch(): void {
    const panel = this.#tracker.currentWidget;
    const active = panel === null || panel.isDisposed ? null : this.#trackingOf(panel);
    if (active !== this.#active) {
      this.#active = active;
      this.#look();
      this.#activeChanged.emit(active);
    }
  }

  /** Only what somebody can see is sent: of the active notebook, while the page is. */
  #look(): void {
    const { badges, statusBar } = this.#options.settings.values;
    const shown = this.#panelShown || badges || statusBar;
    const seen = shown && document.visibilityState === 'visible';
    for (const tracking of this.#known.values()) {
      tracking.store.visible(seen && tracking === this.#active);
    }
  }
}
