/** Where the energy went by stage of the lifecycle: as tagged, as suggested, and the rest. */

import type { Session } from '../session/model';
import { Stages, type Stage } from '../session/stages';
import { formatDuration, formatEnergy, formatEnergyWithBound } from '../session/units';
import type { Context, Section } from './context';
import { attribute, h, Keyed, show, style, text } from './dom';
import { joined, shareText, stageWords, type Translate } from './words';

/** So many stages have a row of their own. */
const MOST = 6;
/** Names of variables in panel.css. */
const COLOURS = ['gpu-2', 'dram', 'gpu-0', 'cpu', 'gpu-1', 'gpu-3'];
const NO_STAGE = 'between';
const OTHERS = 'holes';

export interface Part {
  key: string;
  /** As the stage is called; null: several of them, or none. */
  stage: string | null;
  words: string;
  suggested: boolean;
  energy_uj: number;
  /** Of the session, of one. */
  share: number;
  title: string;
}

export function stages(context: Context): Section {
  const t = context.translate;
  const bar = h('div', { class: 'jg-split', 'aria-hidden': 'true' });
  const legend = h('ul', { class: 'jg-legend jg-stages', 'aria-label': t('Energy by stage') });
  const element = h(
    'section',
    { 'aria-label': t('Stages') },
    h('h4', {}, t('By stage')),
    bar,
    legend
  );
  const known = new Stages();
  const colours = new Colours();
  let atLeast = '';
  let energyWords = (uj: number): string => formatEnergy(uj);
  const paint = (swatch: HTMLElement, part: Part): void => {
    attribute(swatch, 'class', `jg-stage${part.suggested ? ' jg-suggested' : ''}`);
    style(swatch, '--jg-stage', `var(--jg-${colours.of(part)})`);
  };
  const pieces = new Keyed<Part>(
    bar,
    () => h('i'),
    (piece, part) => {
      paint(piece, part);
      style(piece, 'flex-grow', String(part.share));
    }
  );
  const keys = new Keyed<Part>(
    legend,
    () => h('li', { 'data-figure': 'stage' }, h('i'), h('span'), ' ', h('b'), ' ', h('span')),
    (key, part) => {
      const [swatch, name, energy, share] = key.children;
      paint(swatch as HTMLElement, part);
      text(name, part.words);
      text(energy, `${atLeast}${energyWords(part.energy_uj)}`);
      text(share, shareText(part.share));
      attribute(key, 'title', part.title);
    }
  );
  return {
    element,
    update(state, session) {
      const parts = partsOf(known.of(session), session, t);
      show(element, parts.length > 0);
      colours.follow(session, parts);
      atLeast = session.total.missing.length > 0 ? '≥ ' : '';
      energyWords = uj => formatEnergy(uj, state.units);
      pieces.update(parts, part => part.key);
      keys.update(parts, part => part.key);
    }
  };
}

/** A colour for each name, by when it came first: none changes while the energies do. */
class Colours {
  private readonly _names = new Map<string, string>();
  private _session = '';

  follow(session: Session, parts: readonly Part[]): void {
    if (session.id !== this._session) {
      this._session = session.id;
      this._names.clear();
    }
    for (const { stage } of parts) {
      if (stage !== null && !this._names.has(stage)) {
        this._names.set(stage, COLOURS[this._names.size % COLOURS.length]);
      }
    }
  }

  of({ stage, key }: Part): string {
    return stage === null ? (key ? OTHERS : NO_STAGE) : this._names.get(stage)!;
  }
}

/** The rows that are shown; none where no stage is known. */
export function partsOf(
  rows: readonly Stage[],
  { total: { total_uj } }: Pick<Session, 'total'>,
  t: Translate
): Part[] {
  const used = rows.filter(row => row.total_uj > 0);
  const named = used.filter(row => row.name !== null);
  if (!total_uj || named.length === 0) {
    return [];
  }
  const part = (of: Partial<Part>, energy_uj: number): Part => ({
    key: '',
    stage: null,
    words: t('no stage'),
    suggested: false,
    title: t('Other cells, and the time between cells'),
    ...of,
    energy_uj,
    share: energy_uj / total_uj
  });
  const shown = named.length > MOST + 1 ? MOST : named.length;
  const others = named.slice(shown);
  const parts = named.slice(0, shown).map(row => part(ofStage(row, t), row.total_uj));
  if (others.length > 0) {
    const [words, title] = [t('%1 other stages', others.length), namesOf(others, t)];
    parts.push(part({ key: 'others', words, title }, sum(others)));
  }
  const rest = used.filter(row => row.name === null);
  return rest.length > 0 ? [...parts, part({}, sum(rest))] : parts;
}

const sum = (rows: readonly Stage[]): number => rows.reduce((uj, row) => uj + row.total_uj, 0);

function ofStage(row: Stage, t: Translate): Partial<Part> {
  const { name, suggested, runs } = row;
  return {
    key: `${suggested ? 'suggested' : 'tagged'} ${name}`,
    stage: name,
    words: stageWords(name!, suggested, t),
    suggested,
    title: joined([
      suggested ? t('by what its cells call: nobody has tagged them') : t('as tagged'),
      row.bound_uj > 0 ? formatEnergyWithBound(row.total_uj, row.bound_uj) : null,
      formatDuration(row.seconds),
      runs === 1 ? t('one cell or span') : t('%1 cells and spans', runs)
    ])
  };
}

const namesOf = (rows: readonly Stage[], t: Translate): string =>
  joined(
    rows.slice(0, 3 * MOST).map(row => stageWords(row.name!, row.suggested, t)),
    ', '
  );
