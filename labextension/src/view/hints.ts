/** What is wrong or doubtful, a line each, with what to do about it. */

import type { Finding, State } from '../feed/panel';
import { wallAt } from '../session/figures';
import type { Hole, Session } from '../session/model';
import { formatDuration } from '../session/units';
import type { Context, Section } from './context';
import { attribute, button, copyButton, h, Keyed, show, text } from './dom';
import { processorRefusal } from './now';
import { clean, clockText, commandOf, unique, type Translate } from './words';

export interface Hint {
  key: string;
  severity: 'problem' | 'note' | 'ok';
  words: string;
  detail: string;
  commands: string[];
}

const MOST = 8;

export interface Hints extends Section {
  /** Shows what was asked for, under its title, until it is closed. */
  findings(title: string, found: readonly Finding[]): void;
}

export function hints(context: Context): Hints {
  const t = context.translate;
  const list = h('ul', { class: 'jg-hints', 'aria-label': t('Hints') });
  const rest = h('p', { class: 'jg-dim', hidden: true });
  const examined = h('ul', { class: 'jg-hints' });
  const heading = h('h4', {});
  const close = button(t('Close'), () => findings('', []), { class: 'jg-link' });
  const report = h(
    'div',
    { hidden: true },
    h('header', { class: 'jg-heading' }, heading, close),
    examined
  );
  const keyed = (parent: Element): Keyed<Hint> =>
    new Keyed<Hint>(parent, hint => makeHint(hint, t), updateHint);
  const [shown, told] = [keyed(list), keyed(examined)];
  const findings = (title: string, found: readonly Finding[]): void => {
    text(heading, title);
    attribute(examined, 'aria-label', title);
    show(report, found.length > 0);
    show(element, found.length > 0 || !list.hidden);
    told.update(found.map(hintOf), hint => hint.key);
    if (found.length > 0) {
      // It stands below the cells: who has asked shall see the answer.
      report.scrollIntoView({ block: 'nearest' });
    }
  };
  const element = h('section', { 'aria-label': t('Hints') }, list, rest, report);
  return {
    element,
    findings,
    update(state, session) {
      const all = hintsOf(state, session, t, context.now());
      show(list, all.length > 0);
      show(element, all.length > 0 || !report.hidden);
      shown.update(all.slice(0, MOST), hint => hint.key);
      show(rest, all.length > MOST);
      text(rest, t('and %1 more of this kind', all.length - MOST));
    }
  };
}

// --- elements ---

function makeHint(hint: Hint, t: Translate): HTMLElement {
  const commands = hint.commands.map(command =>
    h('div', { class: 'jg-command' }, h('code', {}, command), copyButton(t, command))
  );
  const words = h('span', { class: 'jg-words' });
  if (hint.detail === '' && commands.length === 0) {
    return h('li', {}, words);
  }
  const detail = h('p', { class: 'jg-detail' });
  return h('li', {}, h('details', {}, h('summary', {}, words), detail, ...commands));
}

function updateHint(element: HTMLElement, hint: Hint): void {
  attribute(element, 'class', `jg-hint jg-${hint.severity}`);
  text(element.querySelector('.jg-words')!, hint.words);
  const detail = element.querySelector('.jg-detail');
  if (detail !== null) {
    text(detail, hint.detail);
  }
}

function hintOf(finding: Finding, index: number): Hint {
  const { title, detail, remedy, commands, severity } = finding;
  const words = [detail, remedy].map(clean).filter(Boolean).join(' ');
  return {
    key: `${index} ${title} ${commands.join('\n')} ${words === ''}`,
    severity,
    words: clean(title),
    detail: words,
    commands: commands.map(clean)
  };
}

// --- what there is to say ---

/** The most urgent first. The key changes with the commands, which are made once. */
export function hintsOf(
  state: State,
  session: Session,
  t: Translate,
  now_ms = Date.now()
): Hint[] {
  return [
    ...unique([...state.problems, ...session.problems]).map(problem =>
      hint('problem', clean(problem), '', problem)
    ),
    ...holes(session, t),
    ...overlaps(session, t, now_ms),
    ...refusals(session, t),
    ...damage(session, t)
  ];
}

function hint(severity: Hint['severity'], words: string, detail = '', remedy = ''): Hint {
  const command = commandOf(remedy);
  const told = [detail, remedy === words ? '' : clean(remedy)].filter(Boolean).join(' ');
  return {
    key: `${severity} ${command} ${told === ''} ${words.replace(/\d+/g, '')}`,
    severity,
    words,
    detail: told,
    commands: command ? [command] : []
  };
}

function holes(session: Session, t: Translate): Hint[] {
  const open = session.holes.filter(hole => hole.until_s === null);
  const closed = session.holes.filter(hole => hole.until_s !== null && hole.lost);
  return [
    ...open.map(hole =>
      hint(
        'problem',
        t(
          '%1 cannot be read since %2',
          clean(hole.counter),
          formatDuration(Math.round(hole.since_s))
        ) + (hole.reason ? `: ${clean(hole.reason)}` : ''),
        t('Totals with it are lower bounds.'),
        hole.remedy
      )
    ),
    ...unique(closed.map(hole => hole.counter)).map(counter => closedHoles(counter, closed, t))
  ];
}

function closedHoles(counter: string, all: readonly Hole[], t: Translate): Hint {
  const own = all.filter(hole => hole.counter === counter);
  const seconds = own.reduce((sum, hole) => sum + hole.until_s! - hole.since_s, 0);
  const last = own[own.length - 1];
  return hint(
    'note',
    t('%1 could not be read for %2', clean(counter), formatDuration(seconds)),
    `${clean(last.reason)} ${t('Totals with it are lower bounds.')}`.trim(),
    last.remedy
  );
}

/** Nobody tells when the other one ended: only that it was seen. */
function overlaps(session: Session, t: Translate, now_ms: number): Hint[] {
  const seen = new Map<string, number>();
  for (const { notebook, pid, seen_s } of session.overlaps) {
    const other = clean(notebook ?? '') || t('process %1', pid);
    seen.set(other, Math.min(seen_s, seen.get(other) ?? Infinity));
  }
  return [...seen].map(([other, seen_s]) =>
    hint(
      'note',
      t(
        '%1 used this machine, too, as seen at %2',
        other,
        clockText(wallAt(session, seen_s) * 1000, now_ms)
      ),
      t(
        'What both did at the same time is in the figures of both. Run one at a time to compare them, and do not add them up.'
      )
    )
  );
}

function refusals(session: Session, t: Translate): Hint[] {
  const told = processorRefusal(session);
  return session.refused
    .filter(refusal => !refusal.by_choice && refusal !== told)
    .map(({ source, counter, reason, remedy }) =>
      hint('note', t('%1 is not used: %2', clean(counter ?? source), clean(reason)), '', remedy)
    );
}

function damage(session: Session, t: Translate): Hint[] {
  const { bad_lines, unknown_events, samples_dropped } = session;
  return [
    ...(bad_lines
      ? [
          hint(
            'note',
            t('Lines of the journal that could not be read and were skipped: %1', bad_lines),
            t('A kill or a full disk does that: check the space that is left.')
          )
        ]
      : []),
    ...(unknown_events
      ? [
          hint(
            'note',
            t('Events of a newer version that were skipped: %1', unknown_events),
            '',
            'pip install --upgrade jupyter-green'
          )
        ]
      : []),
    ...(samples_dropped
      ? [
          hint(
            'note',
            t(
              'Power samples that could not be written, the disk being too slow or full: %1',
              samples_dropped
            ),
            t(
              'The figures of cells are whole. Put the data directory on a local disk (JupyterGreen.data_dir).'
            )
          )
        ]
      : [])
  ];
}
