import type { Cell } from '@jupyterlab/cells';
import type { CellList } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { PanelLayout } from '@lumino/widgets';
import type { State } from '../feed/panel';
import type { Session } from '../session/model';
import type { Translate } from '../view/words';
import { Badge } from './badge';
import { identityOf } from './identity';
import { type Runs, runsOf } from './runs';
import type { Settings } from './settings';
import type { Tracking } from './tracking';

/** The badges of one notebook's cells. */
export class Badges {
  #tracking: Tracking;
  #settings: Settings;
  #translate: Translate;
  #badges = new Map<Cell, Badge>();
  #cells: CellList | null = null;
  #shown: Pick<State, 'version' | 'units'> | null = null;

  constructor(tracking: Tracking, settings: Settings, trans: TranslationBundle) {
    this.#tracking = tracking;
    this.#settings = settings;
    this.#translate = (text, ...values) => trans.__(text, ...values);
    const { panel, store } = tracking;
    const end = store.subscribe(() => this.#update());
    settings.changed.connect(this.#anew, this);
    panel.content.modelChanged.connect(this.#watchCells, this);
    panel.disposed.connect(() => {
      end();
      settings.changed.disconnect(this.#anew, this);
    });
    this.#watchCells();
  }

  /** Cells that came, went, or were moved, which makes another widget of them. */
  #watchCells(): void {
    this.#cells?.changed.disconnect(this.#anew, this);
    this.#cells = this.#tracking.panel.content.model?.cells ?? null;
    this.#cells?.changed.connect(this.#anew, this);
    this.#anew();
  }

  #anew(): void {
    this.#shown = null;
    this.#update();
  }

  #update(): void {
    const { session, version, units } = this.#tracking.store.state;
    if (!this.#settings.values.badges || session === null) {
      this.#clear();
    } else if (this.#shown?.version !== version || this.#shown.units !== units) {
      this.#shown = { version, units };
      this.#draw(session);
    }
  }

  #draw(session: Session): void {
    const runs = runsOf(session);
    const { widgets } = this.#tracking.panel.content;
    this.#forgetDisposed();
    for (const cell of widgets) {
      const known = cell.model.type === 'code' ? runs.get(identityOf(cell.model)) : undefined;
      if (known === undefined) {
        this.#remove(cell);
      } else {
        this.#say(cell, session, known);
      }
    }
  }

  #forgetDisposed(): void {
    for (const cell of this.#badges.keys()) {
      if (cell.isDisposed) {
        this.#badges.delete(cell);
      }
    }
  }

  #say(cell: Cell, session: Session, runs: Runs): void {
    const { units } = this.#tracking.store.state;
    this.#badgeOf(cell).draw(session, runs, units);
  }

  #badgeOf(cell: Cell): Badge {
    let badge = this.#badges.get(cell);
    if (badge === undefined) {
      badge = new Badge(this.#translate);
      this.#badges.set(cell, badge);
      void this.#add(cell, badge);
    }
    return badge;
  }

  /** A cell that was never scrolled into view has no layout yet. */
  async #add(cell: Cell, badge: Badge): Promise<void> {
    await cell.ready;
    if (!cell.isDisposed && !badge.isDisposed && cell.layout instanceof PanelLayout) {
      cell.layout.addWidget(badge);
    }
  }

  #remove(cell: Cell): void {
    this.#badges.get(cell)?.dispose();
    this.#badges.delete(cell);
  }

  #clear(): void {
    this.#shown = null;
    for (const cell of [...this.#badges.keys()]) {
      this.#remove(cell);
    }
  }
}
