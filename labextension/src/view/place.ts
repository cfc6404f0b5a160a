/** Choosing the place whose carbon intensity counts. Nothing leaves the machine for it. */

import type { State } from '../feed/panel';
import { perform, type Context } from './context';
import { button, h, onEscape, select, setOptions } from './dom';
import { clean } from './words';

/** The region of the browser's language, as a code and its English name. */
export function suggestion(
  language = navigator.language
): { code: string; name: string } | null {
  try {
    const code = new Intl.Locale(language).region;
    const name =
      code && new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' }).of(code);
    return code && name ? { code, name } : null;
  } catch {
    return null;
  }
}

/** A select with all places, filled when it is first opened; setting one closes it. */
export class PlaceChooser {
  readonly element = h('div', { class: 'jg-row jg-place', hidden: true });
  private readonly _places: HTMLSelectElement;
  private readonly _set: HTMLButtonElement;
  private _opener: HTMLButtonElement | null = null;

  constructor(private readonly _context: Context) {
    const t = _context.translate;
    this._places = select(t('Place'), []);
    this._set = button(t('Set'), () => void this._take(), { class: 'jg-primary' });
    const cancel = button(t('Cancel'), () => this._close());
    this.element.append(this._places, this._set, cancel);
    onEscape(this.element, () => this._close());
  }

  async open(by: HTMLButtonElement): Promise<void> {
    if (!this.element.hidden) {
      this._close();
      return;
    }
    await perform(this._context, by, async () => {
      const { places, current } = await this._context.actions.places();
      const t = this._context.translate;
      setOptions(this._places, [
        ['', t('no place (no CO₂e)')],
        ...places.map(place => [place.code, clean(place.name)] as const)
      ]);
      this._opener = by;
      this._places.value = current ?? this._suggested(places) ?? '';
      this.element.hidden = false;
      this._places.focus();
    });
  }

  private _suggested(places: readonly { code: string; name: string }[]): string | null {
    const likely = suggestion();
    const found = places.find(
      place => place.code === likely?.code || place.name === likely?.name
    );
    return found?.code ?? null;
  }

  /** Whoever opened it goes on from where they were. */
  private _close(): void {
    this.element.hidden = true;
    this._opener?.focus();
  }

  private async _take(): Promise<void> {
    await perform(this._context, this._set, async () => {
      const sentence = await this._context.actions.setPlace(this._places.value || null);
      this._close();
      return sentence;
    });
  }
}

/** Whether the kernel is there to be asked. */
export const canAsk = (state: State): boolean =>
  state.phase === 'live' || state.phase === 'asleep';
