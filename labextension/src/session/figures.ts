/** Figures that follow from a session: the properties and methods of its Python twin. */

import type { Cell, Energy, Entry, Metric, OpenCell, Session, Span } from './model';
import { co2OfUj, ujToJ, ujToKwh } from './units';
import type { Intensity, Pricing } from './vocabulary';

/** A bound from the counters' updates above this share of the energy says nothing useful. */
const BELOW_RESOLUTION = 0.25;

// --- of an energy ---

/** Joules, or null where nothing could be read. */
export function energyJ(energy: Energy): number | null {
  return energy.total_uj === null ? null : ujToJ(energy.total_uj);
}

/** Half-width of the stated interval, in joules. */
export function boundJ(energy: Energy): number {
  return ujToJ(energy.bound_uj);
}

/** A part is missing: the true energy is this or more. */
export function atLeast(energy: Energy): boolean {
  return energy.missing.length > 0;
}

/**
 * Too short for its counters: the updates at both ends outweigh the energy. Of one that lacks a
 * counter this cannot be told.
 */
export function belowResolution(energy: Energy): boolean {
  if (energy.total_uj === null || atLeast(energy)) {
    return false;
  }
  return energy.lag_uj > BELOW_RESOLUTION * energy.total_uj;
}

// --- of a cell or span ---

export function durationS(window: Cell | Span): number {
  return window.finished_s - window.started_s;
}

/** Mean power over the window. */
export function powerW(window: Cell | Span): number | null {
  const joules = energyJ(window.energy);
  const seconds = durationS(window);
  return joules === null || seconds <= 0 ? null : joules / seconds;
}

/** What a person calls it: the label, else the first line. */
export function labelOf(cell: Cell | OpenCell): string {
  return cell.tags.label || cell.first_line;
}

/** Part of the ledger: an outermost cell of the main shell. */
export function ownsTime({ thread, parent }: Pick<Cell, 'thread' | 'parent'>): boolean {
  return thread === 'main' && parent === null;
}

// --- of a session ---

/** The carbon intensity in force at the end. */
export function intensityOf(session: Session): Intensity | null {
  return session.periods.at(-1)!.intensity;
}

/** PUE and price in force at the end. */
export function pricingOf(session: Session): Pricing {
  return session.periods.at(-1)!.pricing;
}

/**
 * Grams of CO2e of a window, each stretch with the intensity then in force.
 *
 * Null where a part of it has no intensity, because a place was never set, or one of another
 * basis, which must not be mixed.
 */
export function co2G(session: Session, energy: Energy | Entry): number | null {
  const atTheEnd = intensityOf(session);
  if (energy.total_uj === null || atTheEnd === null) {
    return null;
  }
  let grams = 0;
  for (const [period, uj] of Object.entries(energy.by_period)) {
    const { intensity, pricing } = session.periods[Number(period)]!;
    if (intensity?.basis !== atTheEnd.basis) {
      return null;
    }
    grams += co2OfUj(uj, intensity.g_per_kwh, pricing.pue);
  }
  return grams;
}

/** Price of a window in the currency in force; null where a part has no price in it. */
export function cost(session: Session, energy: Energy | Entry): number | null {
  const atTheEnd = pricingOf(session);
  if (atTheEnd.price_per_kwh === null) {
    return null;
  }
  let price = 0;
  for (const [period, uj] of Object.entries(energy.by_period)) {
    const { pue, price_per_kwh, currency } = session.periods[Number(period)]!.pricing;
    if (price_per_kwh === null || currency !== atTheEnd.currency) {
      return null;
    }
    price += ujToKwh(uj) * pue * price_per_kwh;
  }
  return price;
}

/** Share of the session's counted energy, of one. */
export function share(session: Session, energy: Energy | Entry): number | null {
  if (!session.total.total_uj || energy.total_uj === null) {
    return null;
  }
  return energy.total_uj / session.total.total_uj;
}

/** Wall time at `t`. Monotonic time stands still in suspend, wall time does not. */
export function wallAt(session: Session, t: number): number {
  const suspend = session.suspends.filter(([noticedS]) => noticedS <= t).at(-1);
  return session.started_wall_s + t + (suspend?.[1] ?? 0);
}

/** The metrics logged during one run of a cell, in order. */
export function metricsOf(session: Session, number: number): Metric[] {
  return session.metrics.filter(metric => metric.cell === number);
}
