import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import type { State, Units } from '../feed/panel';
import { co2G } from '../session/figures';
import type { Session } from '../session/model';
import { formatCo2, formatKwh, formatPower } from '../session/units';
import {
  carbonTitle,
  DASH,
  energyTitle,
  joined,
  totalText,
  type Translate
} from '../view/words';
import type { Notebooks } from './notebooks';
import type { Settings } from './settings';
import type { Tracking } from './tracking';

/** `62 W · 0.013 kWh · 5 g`, of the active notebook. */
export class StatusItem extends Widget {
  #notebooks: Notebooks;
  #settings: Settings;
  #translate: Translate;
  #button = document.createElement('button');
  #followed: Tracking | null = null;
  #end: (() => void) | null = null;
  #active = false;
  #activeChanged = new Signal<this, void>(this);

  constructor(
    notebooks: Notebooks,
    settings: Settings,
    trans: TranslationBundle,
    open: () => void
  ) {
    super();
    this.#notebooks = notebooks;
    this.#settings = settings;
    this.#translate = (text, ...values) => trans.__(text, ...values);
    this.addClass('jg-status-item');
    this.#button.type = 'button';
    this.#button.addEventListener('click', open);
    this.node.append(this.#button);
    notebooks.activeChanged.connect(this.#follow, this);
    settings.changed.connect(this.#update, this);
    this.#follow();
  }

  /** Hidden where nothing is tracked, or the user does not want it. */
  get isActive(): boolean {
    return this.#active;
  }

  get activeStateChanged(): ISignal<this, void> {
    return this.#activeChanged;
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.#end?.();
      this.#notebooks.activeChanged.disconnect(this.#follow, this);
      this.#settings.changed.disconnect(this.#update, this);
    }
    super.dispose();
  }

  #follow(): void {
    this.#end?.();
    this.#followed = this.#notebooks.active;
    this.#end = this.#followed?.store.subscribe(() => this.#update()) ?? null;
    this.#update();
  }

  #update(): void {
    const store = this.#followed?.store;
    const session = store?.tracked ? store.state.session : null;
    if (store && session) {
      this.#say(store.state, session);
    }
    this.#activate(session !== null && this.#settings.values.statusBar);
  }

  #activate(active: boolean): void {
    if (active !== this.#active) {
      this.#active = active;
      this.#activeChanged.emit();
    }
  }

  #say(state: State, session: Session): void {
    const text = statusText(state, session);
    const title = statusTitle(session, this.#translate);
    if (this.#button.textContent !== text) {
      this.#button.textContent = text;
    }
    if (this.#button.title !== title) {
      this.#button.title = title;
      this.#button.setAttribute('aria-label', `${this.#translate('Energy')}: ${text}`);
    }
  }
}

/** A watt-hour in microjoules: from here on kWh, as on a bill, have few enough zeros. */
const UJ_PER_WH = 3.6e9;

/** Power is what flows now: of a kernel that has stopped telling it, nothing is known. */
function statusText({ phase, units }: State, session: Session): string {
  const { power_w, total } = session;
  const asleep = phase === 'asleep';
  const grams = co2G(session, total);
  return joined([
    asleep || power_w === null ? `${DASH} W` : formatPower(power_w),
    total.total_uj === null ? `${DASH} kWh` : totalWords(total.total_uj, units),
    grams === null ? `${DASH} g` : formatCo2(grams)
  ]);
}

function totalWords(uj: number, units: Units): string {
  return units === 'auto' && uj >= UJ_PER_WH ? formatKwh(uj) : totalText(uj, units);
}

function statusTitle(session: Session, t: Translate): string {
  const carbon =
    co2G(session, session.total) === null
      ? t('No CO₂e: no place is set.')
      : carbonTitle(session, t);
  return joined([energyTitle(session.total, t), carbon, t('Click to open the panel.')], '\n');
}
