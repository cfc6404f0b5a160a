/** What every section of the panel gets. */

import type { Actions, State } from '../feed/panel';
import type { Session } from '../session/model';
import type { Curves } from './curves';
import type { Translate } from './words';

export interface Context {
  translate: Translate;
  actions: Actions;
  now: () => number;
  curves: Curves;
  /** Says a sentence in the panel's status line. */
  say: (sentence: string) => void;
}

export interface Section {
  readonly element: HTMLElement;
  update(state: State, session: Session): void;
  dispose?(): void;
}

/** Does what a button stands for; while it lasts, the button waits, and errors are told. */
export async function perform(
  context: Context,
  button: HTMLButtonElement | null,
  action: () => Promise<string | void>
): Promise<void> {
  if (button?.getAttribute('aria-busy') === 'true') {
    return;
  }
  button?.setAttribute('aria-busy', 'true');
  try {
    context.say((await action()) ?? '');
  } catch (error) {
    context.say(error instanceof Error ? error.message : String(error));
  } finally {
    button?.removeAttribute('aria-busy');
  }
}
