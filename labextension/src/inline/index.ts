/** The panel in a cell's output, as a module for anywidget. */

import { Store } from '../feed/store';
import { asWritten } from '../feed/translate';
import css from '../../style/panel.css';
import { mount } from '../view';
import { WidgetLink } from './link';
import { watchSeen } from './seen';
import type { RenderContext } from './widget';

/** A kernel that is there has answered by then, or is busy. */
const PATIENCE_MS = 3_000;

function render({ model, el }: RenderContext): () => void {
  const link = new WidgetLink(model);
  const store = new Store({ translate: asWritten, page: window });
  const { host, body } = shadowOf(el);
  const dispose = mount(body, store, { translate: asWritten });
  const ends = [
    dispose,
    standIn(body, store, model.get('fallback') ?? ''),
    watchSeen(host, seen => store.visible(seen)),
    () => store.dispose(),
    () => link.dispose(),
    () => host.remove()
  ];
  store.attach(link);
  store.greet();
  return () => ends.forEach(end => end());
}

/** The page's styles do not reach in, and these do not reach out. */
function shadowOf(el: HTMLElement): { host: HTMLElement; body: HTMLElement } {
  const host = document.createElement('div');
  const body = document.createElement('div');
  const style = document.createElement('style');
  style.textContent = css;
  host.attachShadow({ mode: 'open' }).append(style, body);
  el.append(host);
  return { host, body };
}

/** The session as it was saved, where no kernel answers. */
function standIn(body: HTMLElement, store: Store, saved: string): () => void {
  const text = document.createElement('pre');
  text.textContent = saved;
  text.hidden = true;
  body.append(text);
  const look = (waited: boolean): void => {
    text.hidden = !waited || saved === '' || store.state.phase !== 'loading';
  };
  const timer = setTimeout(() => look(true), PATIENCE_MS);
  const end = store.subscribe(() => look(!text.hidden));
  return () => {
    clearTimeout(timer);
    end();
    text.remove();
  };
}

export default { render };
