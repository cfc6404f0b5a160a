import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { type ISignal, Signal } from '@lumino/signaling';
import type { Configuration } from '../feed/store';
import type { Units } from '../feed/panel';

export interface Values {
  autoStart: boolean;
  openPanel: boolean;
  badges: boolean;
  statusBar: boolean;
  units: Units;
  place: string;
  pricePerKwh: number | null;
  currency: string;
  refreshS: number;
}

/** As in `schema/plugin.json`; what holds where there is no registry of settings. */
const DEFAULTS: Values = {
  autoStart: false,
  openPanel: false,
  badges: true,
  statusBar: true,
  units: 'auto',
  place: '',
  pricePerKwh: null,
  currency: '',
  refreshS: 1
};

/** The user's settings as they are now. */
export class Settings {
  #values = DEFAULTS;
  #changed = new Signal<this, void>(this);

  get values(): Values {
    return this.#values;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  follow(settings: ISettingRegistry.ISettings): void {
    const take = () => {
      this.#values = { ...DEFAULTS, ...(settings.composite as Partial<Values>) };
      this.#changed.emit();
    };
    settings.changed.connect(take);
    take();
  }

  /** What a store and its kernel want to know of them. */
  get configuration(): Configuration {
    const { place, pricePerKwh, currency, refreshS, units } = this.#values;
    return {
      preferences: {
        place: place.trim() || null,
        price_per_kwh: pricePerKwh,
        currency: currency.trim() || null
      },
      refresh_s: refreshS,
      units
    };
  }
}
