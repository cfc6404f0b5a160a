import type { TranslationBundle } from '@jupyterlab/translation';
import { type Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { Store } from '../feed/store';
import { mount } from '../view';
import { energyIcon } from './icon';
import type { Notebooks } from './notebooks';

export const PANEL_ID = 'jupyter-green-panel';

/** The sidebar: the view of the active notebook, asleep while it is hidden. */
export class EnergyPanel extends Widget {
  #notebooks: Notebooks;
  #trans: TranslationBundle;
  #nothing: Store;
  #end: (() => void) | null = null;

  constructor(notebooks: Notebooks, trans: TranslationBundle) {
    super();
    this.#notebooks = notebooks;
    this.#trans = trans;
    this.#nothing = noNotebook(trans);
    this.id = PANEL_ID;
    this.addClass('jg-side-panel');
    this.title.icon = energyIcon;
    this.title.caption = trans.__('Energy');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Energy'));
    notebooks.activeChanged.connect(this.#switch, this);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.#notebooks.activeChanged.disconnect(this.#switch, this);
      this.#notebooks.panelShown = false;
      this.#unmount();
      this.#nothing.dispose();
    }
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.#wake();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.#wake();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.#sleep();
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this.#sleep();
  }

  #wake(): void {
    if (this.isVisible) {
      this.#notebooks.panelShown = true;
      this.#mount();
    }
  }

  #sleep(): void {
    this.#notebooks.panelShown = false;
  }

  #switch(): void {
    this.#unmount();
    if (this.isVisible) {
      this.#mount();
    }
  }

  #mount(): void {
    if (this.#end !== null) {
      return;
    }
    const model = this.#notebooks.active?.store ?? this.#nothing;
    const ending = new AbortController();
    const translate = (text: string, ...values: (string | number)[]) =>
      this.#trans.__(text, ...values);
    const dispose = mount(this.node, model, { translate, signal: ending.signal });
    this.#end = () => {
      ending.abort();
      dispose();
    };
  }

  #unmount(): void {
    this.#end?.();
    this.#end = null;
    this.node.replaceChildren();
  }
}

function noNotebook(trans: TranslationBundle): Store {
  const store = new Store({
    translate: (text, ...values) => trans.__(text, ...values)
  });
  store.enter('no-notebook');
  return store;
}
