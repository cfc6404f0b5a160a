/** What can be done: place and doctor behind a button in the header, pause, export. */

import type { ExportFormat, Finding, State } from '../feed/panel';
import { perform, type Context } from './context';
import { attribute, button, h, identity, onEscape, show } from './dom';
import { canAsk, type PlaceChooser } from './place';
import type { Hints } from './hints';

const FORMATS: readonly (readonly [ExportFormat, string])[] = [
  ['markdown', 'Markdown'],
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
        hints.findings(t('What is measured here'), await context.actions.examine())
      )
  );
  const savings: HTMLButtonElement = button(
    t('What could be saved?'),
    () =>
      void perform(context, savings, async () =>
        hints.findings(t('What could be saved'), savingsOr(await context.actions.savings(), t))
      )
  );
  const element = h(
    'div',
    { class: 'jg-menu jg-row', id, role: 'group', 'aria-label': t('Actions'), hidden: true },
    place,
    savings,
    examine
  );
  const opener = button('⋯', () => toggle(), {
    'aria-label': t('More'),
    'aria-expanded': 'false',
    'aria-controls': id,
    title: t('Place, what could be saved, what is measured here')
  });
  const toggle = (): void => {
    attribute(opener, 'aria-expanded', String(element.hidden));
    show(element, element.hidden);
  };
  const close = (): void => {
    if (!element.hidden) {
      toggle();
      opener.focus();
    }
  };
  onEscape(element, close);
  onEscape(opener, close);
  return {
    opener,
    element,
    update(state) {
      show(opener, canAsk(state));
      show(element, canAsk(state) && opener.getAttribute('aria-expanded') === 'true');
    }
  };
}

/** A sentence where there is nothing to find. */
function savingsOr(found: Finding[], t: Context['translate']): Finding[] {
  const nothing: Finding = {
    title: t('Nothing stands out so far.'),
    detail: '',
    remedy: '',
    commands: [],
    severity: 'ok'
  };
  return found.length > 0 ? found : [nothing];
}

/** The report to carry away. */
export function reportButton(context: Context): HTMLButtonElement {
  const element: HTMLButtonElement = button(
    context.translate('Export report'),
    () => void perform(context, element, () => context.actions.exportAs('html')),
    { class: 'jg-primary' }
  );
  return element;
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
