/** This session in a few figures: energy, CO2e, cost, the best result. */

import type { State } from '../feed/panel';
import { co2G, cost, intensityOf, pricingOf } from '../session/figures';
import type { Session } from '../session/model';
import {
  formatCo2,
  formatDuration,
  formatEnergy,
  formatKwh,
  formatNumber
} from '../session/units';
import { budgetLine, usedOf, type BudgetLine } from './budget';
import { chooseMetric, pointsSentence, type Curve } from './curves';
import { perform, type Context, type Section } from './context';
import { attribute, button, h, show, text } from './dom';
import { canAsk, suggestion, type PlaceChooser } from './place';
import {
  boundWords,
  carbonTitle,
  clean,
  DASH,
  energyTitle,
  energyWords,
  figureAndUnit,
  joined,
  metricText,
  noLiveWords,
  placeWords,
  provenanceWords,
  totalText
} from './words';

class Tile {
  readonly element: HTMLElement;
  readonly below: HTMLElement;
  private readonly _figure = h('b');
  private readonly _unit = h('span');
  private readonly _more = h('span', { class: 'jg-hidden' });

  constructor(name: string, key: string, ...children: Node[]) {
    const figure = h(
      'div',
      { class: 'jg-figure', 'data-figure': key },
      this._figure,
      ' ',
      this._unit
    );
    this.below = h('small', { 'data-figure': `${key}-note` });
    const heading = h('span', { class: 'jg-hidden' }, `${name}: `);
    this.element = h(
      'div',
      { class: 'jg-tile' },
      heading,
      figure,
      this.below,
      ...children,
      this._more
    );
  }

  update(words: string, unit: string, below: string, title: string): void {
    const [figure, own] = figureAndUnit(words);
    text(this._figure, figure);
    text(this._unit, joined([own, unit], ' '));
    text(this.below, below);
    attribute(this.element, 'title', title);
    text(this._more, title);
  }
}

export function tiles(context: Context, chooser: PlaceChooser): Section {
  const t = context.translate;
  const energy = new Tile(t('Energy'), 'energy');
  const budget = budgetLine(t);
  energy.below.before(budget.element);
  const setting = placeButtons(context, chooser);
  const carbon = new Tile(t('Carbon'), 'co2', setting);
  const price = new Tile(t('Cost'), 'cost');
  const best = new Tile(t('Best result'), 'metric');
  const grid = h(
    'div',
    { class: 'jg-tiles' },
    energy.element,
    carbon.element,
    price.element,
    best.element
  );
  return {
    element: h('section', { 'aria-label': t('This session') }, grid, chooser.element),
    update(state, session) {
      updateEnergy(energy, budget, state, session, context);
      updateCarbon(carbon, session, context);
      show(setting, intensityOf(session) === null && canAsk(state));
      updateCost(price, session, context);
      updateBest(best, state, session, context);
    }
  };
}

function updateEnergy(
  tile: Tile,
  budget: BudgetLine,
  state: State,
  session: Session,
  { translate: t }: Context
): void {
  const { total } = session;
  const words = energyWords(total, state.units, t, totalText);
  const duration = t('this session, %1', formatDuration(Math.round(session.duration_s)));
  const provenance = total.provenance.some(name => name !== 'measured')
    ? provenanceWords(total.provenance, t)
    : null;
  const used = usedOf(session, t);
  budget.update(used);
  const kwh = total.total_uj === null ? null : formatKwh(total.total_uj);
  tile.update(
    words,
    '',
    joined([used?.words ?? null, boundWords(total, t), provenance, duration]),
    joined([energyTitle(total, t), kwh, used?.title ?? null])
  );
}

function updateCarbon(tile: Tile, session: Session, { translate: t }: Context): void {
  const grams = co2G(session, session.total);
  const atLeast = session.total.missing.length > 0 ? '≥ ' : '';
  if (intensityOf(session) === null) {
    const noLive = noLiveWords(session, t);
    tile.update(
      DASH,
      'CO₂e',
      noLive ? t('no live intensity') : t('no place set'),
      noLive ||
        t('Without a place there is no CO₂e: nothing is guessed and nothing is looked up.')
    );
  } else if (grams === null) {
    const why =
      session.total.total_uj === null
        ? t('not known, because no energy is')
        : t('not known: a part of the session has no place, or one of another basis');
    tile.update(DASH, 'CO₂e', why, carbonTitle(session, t));
  } else {
    tile.update(
      atLeast + formatCo2(grams),
      'CO₂e',
      placeWords(session, t),
      carbonTitle(session, t)
    );
  }
}

function updateCost(tile: Tile, session: Session, { translate: t }: Context): void {
  const { price_per_kwh, currency, pue } = pricingOf(session);
  const amount = cost(session, session.total);
  show(tile.element, price_per_kwh !== null);
  if (price_per_kwh !== null) {
    const tariff = t('%1 %2/kWh', formatNumber(price_per_kwh), clean(currency));
    const known = amount !== null && session.total.total_uj !== null;
    const atLeast = session.total.missing.length > 0 ? '≥ ' : '';
    tile.update(
      known ? `${atLeast}${formatNumber(amount)} ${clean(currency)}` : DASH,
      '',
      tariff,
      known
        ? `${tariff} · PUE ${formatNumber(pue)}`
        : t('not known: a part of the session has no price, or no energy')
    );
  }
}

function updateBest(tile: Tile, state: State, session: Session, context: Context): void {
  const t = context.translate;
  const name = chooseMetric(session.metrics);
  const curve =
    name === null ? null : bestCurve(context.curves.of(state.version, session.metrics, name));
  const best = curve?.best ?? null;
  show(tile.element, best !== null);
  if (curve === null || best === null) {
    return;
  }
  const cost = pointsSentence(curve, uj => formatEnergy(uj, state.units), t);
  const known = curve.lower === null ? t('last') : t('best');
  const energy = t('at %1', formatEnergy(best.x, state.units));
  tile.update(
    metricText(best.y),
    clean(curve.metric),
    joined([known, cost?.short ?? energy]),
    joined([energy, cost?.long ?? null])
  );
}

function bestCurve(curves: readonly Curve[]): Curve | null {
  const known = curves.filter(curve => curve.best !== null);
  const sign = known[0]?.lower ? -1 : 1;
  return known.reduce<Curve | null>(
    (best, curve) =>
      best === null || curve.lower === null || sign * curve.best!.y >= sign * best.best!.y
        ? curve
        : best,
    null
  );
}

/** The likely place at one click, and all others at two. */
function placeButtons(context: Context, chooser: PlaceChooser): HTMLElement {
  const t = context.translate;
  const likely = suggestion();
  const other: HTMLButtonElement = button(
    likely ? t('other …') : t('Set place'),
    () => void chooser.open(other),
    {
      class: likely ? 'jg-link' : ''
    }
  );
  const row = h('div', { class: 'jg-set' });
  if (likely) {
    const use: HTMLButtonElement = button(
      t('Use %1', likely.name),
      () => void perform(context, use, () => context.actions.setPlace(likely.code)),
      {
        title: t(
          'Set %1 as your place, for good. It comes from the language of your browser.',
          likely.name
        )
      }
    );
    row.append(use);
  }
  row.append(other);
  return row;
}
