/** How much of the session's budget is used: a thin line, and its words. */

import type { Session } from '../session/model';
import { formatBudget } from '../session/units';
import { attribute, h, show, style } from './dom';
import { joined, shareText, type Translate } from './words';

/** Of the budget, of one: from here on it is near its end. The kernel warns at the same. */
const WARN_AT = 0.8;

export type Tone = 'within' | 'near' | 'over';

export interface Used {
  /** `37 % of 50 Wh`. */
  words: string;
  /** Of one; null: what was used is not known. */
  share: number | null;
  tone: Tone;
  title: string;
}

/** What is used of the budget; null where there is none. */
export function usedOf(
  { budget, total }: Pick<Session, 'budget' | 'total'>,
  t: Translate
): Used | null {
  if (budget === null) {
    return null;
  }
  const whole = formatBudget(budget.budget_uj);
  const share = total.total_uj === null ? null : total.total_uj / budget.budget_uj;
  const tone = share === null || share < WARN_AT ? 'within' : share < 1 ? 'near' : 'over';
  const atLeast = total.missing.length > 0 ? '≥ ' : '';
  const then =
    tone === 'over'
      ? t('it is used up')
      : budget.stop
        ? t('the cell that runs at its end is interrupted')
        : t('you are warned at its end, and no cell is interrupted');
  return {
    words:
      share === null
        ? t('budget %1', whole)
        : t('%1 of %2', `${atLeast}${usedText(share)}`, whole),
    share,
    tone,
    title: joined([t('budget %1', whole), then], ': ')
  };
}

/** Rounded it must not look used up before it is. */
const usedText = (share: number): string =>
  share < 1 && share >= 0.995 ? '> 99 %' : shareText(share);

export interface BudgetLine {
  readonly element: HTMLElement;
  update(used: Used | null): void;
}

export function budgetLine(t: Translate): BudgetLine {
  const used = h('i');
  const element = h(
    'div',
    {
      class: 'jg-budget',
      role: 'progressbar',
      'aria-label': t('Budget'),
      'aria-valuemin': 0,
      'aria-valuemax': 100
    },
    used
  );
  return {
    element,
    update(told) {
      const known = told !== null && told.share !== null;
      show(element, known);
      if (known) {
        const percent = Math.min(100, Math.floor(told.share! * 100));
        attribute(element, 'aria-valuenow', percent);
        attribute(element, 'aria-valuetext', told.words);
        attribute(element, 'data-tone', told.tone);
        style(used, 'width', `${Math.min(1, told.share!) * 100}%`);
      }
    }
  };
}
