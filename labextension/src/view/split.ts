/** Where the session's energy went, as one bar with its legend. */

import { share } from '../session/figures';
import { ENTRIES, type EntryName, type Session } from '../session/model';
import { formatEnergy } from '../session/units';
import type { Context, Section } from './context';
import { attribute, h, Keyed, show, style, text } from './dom';
import { shareText } from './words';

interface Part {
  name: EntryName;
  share: number;
  energy: string;
}

export function split(context: Context): Section {
  const t = context.translate;
  const bar = h('div', { class: 'jg-split', 'aria-hidden': 'true' });
  const legend = h('ul', { class: 'jg-legend', 'aria-label': t('Where the energy went') });
  const element = h('section', {}, bar, legend);
  const pieces = new Keyed<Part>(
    bar,
    ({ name }) => h('i', { class: `jg-${classOf(name)}` }),
    (piece, part) => style(piece, 'flex-grow', String(part.share))
  );
  const keys = new Keyed<Part>(
    legend,
    ({ name }) =>
      h('li', { 'data-figure': name }, h('i', { class: `jg-${classOf(name)}` }), h('span')),
    (key, part) => {
      text(key.lastElementChild!, `${t(part.name)} ${shareText(part.share)}`);
      attribute(key, 'title', part.energy);
    }
  );
  return {
    element,
    update(state, session) {
      const parts = partsOf(session, uj => formatEnergy(uj, state.units));
      show(element, parts.length > 0);
      pieces.update(parts, part => part.name);
      keys.update(parts, part => part.name);
    }
  };
}

function partsOf(session: Session, words: (uj: number) => string): Part[] {
  return ENTRIES.flatMap(name => {
    const entry = session.ledger.entries[name];
    const part = share(session, entry);
    return part ? [{ name, share: part, energy: words(entry.total_uj) }] : [];
  });
}

const classOf = (name: EntryName): string => name.replace(' ', '-');
