/** What can be done: place and doctor behind a button in the header, pause, export. */

import type { ExportFormat, State } from '../feed/panel';
import { perform, type Context } from './context';
import { attribute, button, h, identity, show } from './dom';
import { canAsk, type PlaceChooser } from './place';
import type { Hints } from './hints';

const FORMATS: readonly (readonly [ExportFormat, string])[] = [
  ['text', 'Text'],
  ['csv', 'CSV'],
  ['json', 'JSON']
];

export interface Menu {
  opener: HTMLButtonElement;
  element: HTMLElement;
  update(state: State): void;
}

export function menu(context: Context, chooser: PlaceChooser, hints: Hints): Menu {
  const t = context.translate;
  const id = identity();
  const place: HTMLButtonElement = button(t('Place …'), () => void chooser.open(place));
  const examine: HTMLButtonElement = button(
    t('What is measured here?'),
    () =>
      void perform(context, examine, async () =>
        hints.findings(await context.actions.examine())
      )
  );
  const element = h(
    'div',
    { class: 'jg-menu jg-row', id, role: 'group', 'aria-label': t('Actions'), hidden: true },
    place,
    examine
  );
  const opener = button('⋯', () => toggle(), {
    'aria-label': t('More'),
    'aria-expanded': 'false',
    'aria-controls': id,
    title: t('Place, and what is measured here')
  });
  const toggle = (): void => {
    attribute(opener, 'aria-expanded', String(element.hidden));
    show(element, element.hidden);
  };
  return {
    opener,
    element,
    update(state) {
      show(opener, canAsk(state));
      show(element, canAsk(state) && opener.getAttribute('aria-expanded') === 'true');
    }
  };
}

export function exportButtons(context: Context): HTMLButtonElement[] {
  return FORMATS.map(([format, name]) => {
    const element: HTMLButtonElement = button(
      name,
      () => void perform(context, element, () => context.actions.exportAs(format))
    );
    return element;
  });
}

/** Pause and resume. */
export function pauseButton(context: Context): {
  element: HTMLButtonElement;
  update(state: State): void;
} {
  const t = context.translate;
  let paused = false;
  const element: HTMLButtonElement = button(
    '❚❚',
    () => void perform(context, element, () => context.actions.track(paused)),
    { class: 'jg-pause' }
  );
  return {
    element,
    update(state) {
      paused = state.session?.paused ?? false;
      show(element, canAsk(state) && state.session !== null);
      const name = paused ? t('Resume tracking') : t('Pause tracking');
      attribute(element, 'aria-label', name);
      attribute(element, 'title', name);
      if (element.textContent !== (paused ? '▶' : '❚❚')) {
        element.textContent = paused ? '▶' : '❚❚';
      }
    }
  };
}
