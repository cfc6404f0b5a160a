/** The panel: the energy of a notebook, live. One view for all its homes, in plain elements. */

import type { PanelModel, State } from '../feed/panel';
import type { Session } from '../session/model';
import { accuracy } from './accuracy';
import { exportButtons, menu, pauseButton, reportButton } from './actions';
import { cells } from './cells';
import type { Context, Section } from './context';
import { Curves } from './curves';
import { attribute, h, show, style, text } from './dom';
import { keepFocus } from './focus';
import { hints } from './hints';
import { line } from './line';
import { now } from './now';
import { banner } from './phases';
import { PlaceChooser } from './place';
import { split } from './split';
import { stages } from './stages';
import { watchTheme } from './theme';
import { tiles } from './tiles';
import { clean, joined, percentUp, provenanceWords, unique, type Translate } from './words';

export interface Options {
  translate: Translate;
  /** Ends the panel when it aborts. */
  signal?: AbortSignal;
  /** Wall time in milliseconds. */
  now?: () => number;
}

/** Figures and charts follow twice a second; what is to be said follows at once. */
const SHORTEST_MS = 500;

/** A frame is 16 ms, and layout and painting want theirs. */
const SHARE_OF_FRAME_MS = 5;

/** Shows the panel in an element; returns how to end that. */
export function mount(element: HTMLElement, panel: PanelModel, options: Options): () => void {
  const view = new View(element, panel, options);
  options.signal?.addEventListener('abort', () => view.dispose(), { once: true });
  return () => view.dispose();
}

class View {
  private readonly _root = h('div', { class: 'jg-panel' });
  private readonly _notebook = h('span', { class: 'jg-notebook' });
  private readonly _status = h('p', { class: 'jg-status', role: 'status' });
  private readonly _body = h('div', { class: 'jg-body' });
  private readonly _source = h('span', { class: 'jg-dim' });
  private readonly _footer: HTMLElement;
  private readonly _keepFocus = keepFocus(this._root);
  private readonly _always: { update(state: State): void }[];
  private readonly _sections: Section[];
  private readonly _ends: (() => void)[] = [];
  private _visible = true;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _frame = 0;
  private _updated_ms = -Infinity;
  private _shown: unknown[] = [];

  constructor(
    element: HTMLElement,
    private readonly _panel: PanelModel,
    private readonly _options: Options
  ) {
    const t = _options.translate;
    const context: Context = {
      translate: t,
      actions: _panel.actions,
      now: _options.now ?? Date.now,
      curves: new Curves(),
      say: sentence => text(this._status, clean(sentence))
    };
    const chooser = new PlaceChooser(context);
    const hinted = hints(context);
    const told = banner(context);
    const pause = pauseButton(context);
    const more = menu(context, chooser, hinted);
    const power = line(context);
    this._always = [told, pause, more];
    this._sections = [
      now(context),
      power,
      tiles(context, chooser),
      split(context),
      stages(context),
      accuracy(context),
      cells(context),
      hinted
    ];
    this._body.append(...this._sections.map(section => section.element));
    // Beside the buttons: the status line may be out of sight.
    const exported = h('p', { role: 'status' });
    style(exported, 'overflow-wrap', 'anywhere');
    const below = { ...context, say: (words: string) => text(exported, clean(words)) };
    this._footer = h(
      'footer',
      {},
      reportButton(below),
      h('span', { class: 'jg-dim' }, t('or')),
      ...exportButtons(below),
      this._source
    );
    const header = h(
      'header',
      { class: 'jg-header' },
      h('h3', {}, t('Energy')),
      this._notebook,
      pause.element,
      more.opener
    );
    this._root.append(
      header,
      more.element,
      this._status,
      told.element,
      this._body,
      exported,
      this._footer
    );
    element.append(this._root);
    this._follow(power);
  }

  dispose(): void {
    clearTimeout(this._timer);
    cancelAnimationFrame(this._frame);
    this._ends.splice(0).forEach(end => end());
    this._sections.forEach(section => section.dispose?.());
    this._root.remove();
  }

  private _follow(power: { restyle(): void }): void {
    const seen = new IntersectionObserver(entries => this._see(entries.at(-1)!.isIntersecting));
    seen.observe(this._root);
    this._ends.push(
      this._panel.subscribe(() => this._changed()),
      watchTheme(this._root, () => power.restyle()),
      () => seen.disconnect()
    );
    this._changed();
  }

  private _see(visible: boolean): void {
    this._visible = visible;
    if (visible) {
      this._changed();
    }
  }

  private _changed(): void {
    if (!this._visible) {
      return;
    }
    this._tell();
    const wait = this._updated_ms + SHORTEST_MS - performance.now();
    clearTimeout(this._timer);
    if (wait <= 0) {
      this._update();
    } else {
      this._timer = setTimeout(() => this._visible && this._update(), wait);
    }
  }

  /** The header, and the sentence of the phase. */
  private _tell(): void {
    const { state } = this._panel;
    attribute(this._root, 'data-phase', state.phase);
    text(this._notebook, clean(state.notebook));
    attribute(this._notebook, 'title', clean(state.notebook));
    this._always.forEach(part => part.update(state));
    show(this._body, state.session !== null);
    show(this._footer, state.session !== null);
    this._keepFocus();
  }

  private _update(): void {
    const { state } = this._panel;
    const { session } = state;
    const shown = [session, state.version, state.phase, state.units, state.problems];
    if (session === null || shown.every((value, index) => value === this._shown[index])) {
      return;
    }
    this._shown = shown;
    this._updated_ms = performance.now();
    text(this._source, sourceWords(session, this._options.translate));
    this._updateFrom(0, session);
  }

  /** One section after the other; what does not fit into this frame comes in the next one. */
  private _updateFrom(index: number, session: Session): void {
    cancelAnimationFrame(this._frame);
    const started = performance.now();
    while (index < this._sections.length && performance.now() - started < SHARE_OF_FRAME_MS) {
      this._sections[index].update(this._panel.state, session);
      index += 1;
    }
    if (index < this._sections.length) {
      this._frame = requestAnimationFrame(() => this._updateFrom(index, session));
    }
    this._keepFocus();
  }
}

const NAMES: Record<string, string> = {
  rapl: 'RAPL',
  perf: 'perf_event',
  nvml: 'NVML',
  pyrapl: 'pyRAPL'
};

/** `RAPL + NVML · bound 0.3 %`. */
function sourceWords(session: Session, t: Translate): string {
  const counted = Object.values(session.counters).filter(info => info.counted);
  const used = counted.filter(info => session.total.uj[info.name]);
  const sources = unique(
    used.map(
      info =>
        NAMES[info.source] ?? (info.provenance === 'modelled' ? t('model') : clean(info.source))
    )
  );
  const { total_uj, bound_uj, provenance } = session.total;
  const bound = total_uj && bound_uj ? t('bound %1', percentUp(bound_uj / total_uj)) : null;
  return joined([sources.join(' + ') || provenanceWords(provenance, t), bound]);
}
