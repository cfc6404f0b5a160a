import { Widget } from '@lumino/widgets';
import type { Units } from '../feed/panel';
import { belowResolution, durationS } from '../session/figures';
import type { Cell, Energy, OpenCell, Session } from '../session/model';
import { formatDuration, formatEnergy, formatEnergyWithBound } from '../session/units';
import {
  clean,
  energyTitle,
  energyWords,
  joined,
  statusWords,
  type Translate
} from '../view/words';
import { type Runs, sameRuns } from './runs';

/** What a cell's last run has cost, or what the running one has so far. */
export class Badge extends Widget {
  #text = document.createElement('span');
  #translate: Translate;
  #shown: { runs: Runs; units: Units } | null = null;

  constructor(translate: Translate) {
    super();
    this.#translate = translate;
    this.addClass('jg-badge');
    this.node.append(this.#text);
  }

  /** Of thousands of badges, few have changed: the others cost a comparison. */
  draw(session: Session, runs: Runs, units: Units): void {
    if (this.#shown?.units === units && sameRuns(this.#shown.runs, runs)) {
      return;
    }
    this.#shown = { runs, units };
    const [text, hover] = badgeWords(session, runs, units, this.#translate);
    this.#text.textContent = text;
    this.node.title = hover;
    this.toggleClass('jg-mod-running', runs.open !== null);
  }
}

/** What a badge says, and what it tells on hover. */
function badgeWords(
  session: Session,
  runs: Runs,
  units: Units,
  t: Translate
): [text: string, title: string] {
  return runs.open
    ? [openText(runs.open, units, t), title(session, runs.open.so_far, runs, t)]
    : [finishedText(runs.last!, units, t), title(session, runs.last!.energy, runs, t)];
}

function openText(cell: OpenCell, units: Units, t: Translate): string {
  return t('%1 so far', energyWords(cell.so_far, units, t));
}

function finishedText(cell: Cell, units: Units, t: Translate): string {
  const { energy } = cell;
  const below = belowResolution(energy);
  const figure = energyWords(energy, units, t, uj =>
    below ? formatEnergy(uj, units) : formatEnergyWithBound(uj, energy.bound_uj, units)
  );
  return joined([
    figure,
    below ? t('below resolution') : null,
    formatDuration(durationS(cell)),
    statusWords(cell, t)
  ]);
}

function title(session: Session, energy: Energy, runs: Runs, t: Translate): string {
  const reruns =
    runs.count > 1 ? t('%1 runs, %2 in all', runs.count, formatEnergy(runs.total_uj)) : null;
  return joined([energyTitle(energy, t), ...split(session, energy), reruns], '\n');
}

/** One line a counter; those inside of another one are no addends, and stand apart. */
function split(session: Session, energy: Energy): string[] {
  return Object.entries(energy.uj).map(([counter, uj]) => {
    const text = `${clean(counter)}: ${formatEnergy(uj)}`;
    return session.counters[counter]?.counted === false ? `(${text})` : text;
  });
}
