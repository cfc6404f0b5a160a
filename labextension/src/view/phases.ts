/** Where the panel stands, as a plain sentence with its next step. */

import type { Phase, State } from '../feed/panel';
import { perform, type Context } from './context';
import { attribute, button, copyButton, h, show, text } from './dom';
import { clean, type Translate } from './words';

interface Saying {
  words: string;
  detail?: string;
  /** Name of the button that starts tracking. */
  start?: string;
  command?: string;
}

export const INSTALL = 'pip install jupyter-green';

/** What to say; null while all is well. */
export function sayingOf({ phase, detail, session }: State, t: Translate): Saying | null {
  const told = clean(detail);
  const kept =
    session === null ? '' : t('What was used until then is below, as far as it was seen here.');
  const sayings: Record<Phase, Saying | null> = {
    'no-notebook': { words: t('Open a notebook to see what its cells use.') },
    'no-kernel': {
      words: t('This notebook has no kernel.'),
      detail: t('Choose a kernel for it (Kernel menu, Change Kernel), or run a cell.')
    },
    starting: { words: t('Connecting to the kernel …') },
    'other-language': {
      words: told
        ? t('This kernel speaks %1; only Python kernels can be measured.', told)
        : t('Only Python kernels can be measured.'),
      detail: t('Any other program can: jupyter green exec -- command, in a terminal.')
    },
    untracked: {
      words: t('This notebook is not measured yet.'),
      detail: t('No code is needed, and nothing is written into the notebook.'),
      start: t('Start tracking')
    },
    'not-installed': {
      words: t('The kernel’s environment does not have jupyter-green.'),
      detail: `${told ? `${told} ` : ''}${t('Install it there, in a cell or a terminal of that environment, then start again.')}`,
      command: INSTALL,
      start: t('Start tracking')
    },
    failed: { words: t('Tracking could not be started.'), detail: told, start: t('Try again') },
    versions: {
      words: t('This panel and the kernel’s package do not understand each other.'),
      detail: told,
      command: 'pip install --upgrade jupyter-green'
    },
    loading: { words: t('Loading the session …') },
    live: null,
    asleep: null,
    ended: {
      words: t('Tracking has ended.'),
      detail: session ? t('The session can be read below.') : '',
      start: t('Start tracking')
    },
    died: {
      words: t('The kernel died or was restarted.'),
      detail: `${told ? `${told} ` : ''}${kept}`,
      start: t('Start tracking')
    },
    disconnected: {
      words: t('There is no connection to the server.'),
      detail: `${t('The panel goes on by itself when it is back.')} ${kept}`.trim()
    }
  };
  return sayings[phase];
}

export interface Banner {
  element: HTMLElement;
  update(state: State): void;
}

export function banner(context: Context): Banner {
  const t = context.translate;
  const words = h('p', { class: 'jg-sentence' });
  const detail = h('p', { class: 'jg-dim' });
  const command = h('div', { class: 'jg-command' });
  const start: HTMLButtonElement = button(
    '',
    () => void perform(context, start, () => context.actions.start()),
    { class: 'jg-primary' }
  );
  const element = h(
    'div',
    { class: 'jg-banner', role: 'status' },
    words,
    detail,
    command,
    start
  );
  let copied = '';
  return {
    element,
    update(state) {
      const saying = sayingOf(state, t);
      show(element, saying !== null);
      attribute(element, 'data-phase', state.phase);
      text(words, saying?.words ?? '');
      text(detail, saying?.detail ?? '');
      show(detail, Boolean(saying?.detail));
      text(start, saying?.start ?? '');
      show(start, Boolean(saying?.start));
      const line = saying?.command ?? '';
      show(command, line !== '');
      if (line !== copied) {
        copied = line;
        command.replaceChildren(h('code', {}, line), copyButton(t, line));
      }
    }
  };
}
