/**
 * Units of energy, power, time and emissions: conversion, and how a person reads them. The twin of
 * `jupyter_green/units.py`; both are held to `tests/golden/formats.json`.
 *
 * Text never holds an exponent, and the unit is chosen by the number as it is *shown*: 999.9996 J
 * rounds to `1 kJ`, not to `1000 J`.
 */

const UJ_PER_J = 1_000_000;
const J_PER_WH = 3_600;
const J_PER_KWH = 3_600_000;

/** Symbol; size in J, W, g or s; shown numbers stay below the last. */
type Unit = readonly [symbol: string, size: number, below: number];

/** `auto` chooses by the figure; the others hold everywhere. */
export type EnergyUnit = 'auto' | 'J' | 'Wh';

const ENERGY: readonly Unit[] = [
  ['µJ', 1e-6, 1000],
  ['mJ', 1e-3, 1000],
  ['J', 1, 1000],
  // 360 kJ are 100 Wh: what is that large gets compared with batteries and bills.
  ['kJ', 1e3, 360],
  ['Wh', J_PER_WH, 1000],
  ['kWh', J_PER_KWH, 1000],
  ['MWh', J_PER_KWH * 1e3, 1000],
  ['GWh', J_PER_KWH * 1e6, Infinity]
];
const IN_WH = ENERGY.filter(([symbol]) => symbol.endsWith('Wh'));
const POWER: readonly Unit[] = [
  ['mW', 1e-3, 100],
  ['W', 1, 10_000],
  ['kW', 1e3, Infinity]
];
const CO2: readonly Unit[] = [
  ['µg', 1e-6, 100],
  ['mg', 1e-3, 100],
  ['g', 1, 1000],
  ['kg', 1e3, 1000],
  ['t', 1e6, Infinity]
];
const DURATION: readonly Unit[] = [
  ['µs', 1e-6, 1000],
  ['ms', 1e-3, 1000],
  ['s', 1, 60]
];

/** Nobody counts more zeros than these after the point. */
const SMALLEST_SHOWN = 1e-6;
const MOST_DECIMALS = 6;

export function ujToJ(energyUj: number): number {
  return energyUj / UJ_PER_J;
}

export function ujToKwh(energyUj: number): number {
  return energyUj / (J_PER_KWH * UJ_PER_J);
}

/** Grams of CO2 equivalent of an energy in microjoules: kWh x PUE x intensity. */
export function co2OfUj(energyUj: number, gPerKwh: number, pue: number): number {
  return ujToKwh(energyUj) * pue * gPerKwh;
}

// --- numbers ---

/** As toFixed, but without exponents, and what lies exactly half-way goes to the even digit. */
export function fixed(value: number, decimals: number): string {
  if (Math.abs(value) >= 1e21) {
    const whole = Number.isFinite(value) ? BigInt(value).toString() : `${value}`;
    return decimals && Number.isFinite(value) ? `${whole}.${'0'.repeat(decimals)}` : whole;
  }
  const text = value.toFixed(decimals);
  const towardsZero = half(Math.abs(value), decimals);
  return towardsZero === null || Number(towardsZero.at(-1)) % 2
    ? text
    : sign(value) + towardsZero;
}

/** The decimals that are cut from a value, where what is cut is exactly a half. */
function half(size: number, decimals: number): string | null {
  if (!isNearHalf(size * 10 ** decimals)) {
    return null;
  }
  // A half has one more decimal, and no digit after it, however many are asked for.
  const exact = size.toFixed(100);
  const cut = exact.indexOf('.') + 1 + decimals;
  return /^50*$/.test(exact.slice(cut)) ? exact.slice(0, cut).replace(/\.$/, '') : null;
}

/** Whether a number may lie exactly between two whole ones: rules nearly all of them out, cheaply. */
function isNearHalf(scaled: number): boolean {
  return Math.abs(scaled - Math.floor(scaled) - 0.5) <= 1e-9 * Math.max(1, scaled);
}

function sign(value: number): string {
  return value < 0 ? '-' : '';
}

/** Rounded half to even. */
export function rounded(value: number, decimals: number): number {
  return Number(fixed(value, Math.min(decimals, 99)));
}

/**
 * A number with `digits` significant digits, as a person writes it.
 *
 * There is never an exponent. The digits before the point are all kept, zeros at the end of a
 * fraction are not, and what is nearer to zero than a millionth is given as `<0.000001`.
 */
export function formatNumber(value: number, digits = 3): string {
  if (value === 0) {
    return '0';
  }
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'nan' : `${sign(value)}inf`;
  }
  const decimals = decimalsOf(value, digits);
  if (rounded(Math.abs(value), decimals) < SMALLEST_SHOWN) {
    return value > 0 ? '<0.000001' : '>-0.000001';
  }
  return withoutEndZeros(fixed(value, decimals));
}

/** How many decimals show that many significant digits of a value; never below zero. */
function decimalsOf(value: number, digits: number): number {
  // Once the value is rounded: 2 for 999 and 3 for 999.9.
  const magnitude = Number(value.toExponential(digits - 1).split('e')[1]);
  return Math.max(0, digits - 1 - magnitude);
}

function withoutEndZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

// --- quantities ---

/** The first unit in which the number, as it will be shown, has not grown too long. */
function bestUnit(value: number, units: readonly Unit[]): Unit | undefined {
  if (!Number.isFinite(value)) {
    return undefined;
  }
  return units.find(([, size, below]) => {
    const scaled = Math.abs(value) / size;
    return rounded(scaled, decimalsOf(scaled, 3)) < below;
  });
}

function format(value: number, units: readonly Unit[]): string {
  const [symbol, size] = bestUnit(value, units) ?? units.at(-1)!;
  return `${formatNumber(value / size)} ${symbol}`;
}

function energyUnit(joules: number, unit: EnergyUnit): Unit {
  const wanted = ENERGY.find(([symbol]) => symbol === unit);
  return wanted ?? bestUnit(joules, ENERGY) ?? ENERGY.at(-1)!;
}

/** Microjoules as text from µJ to GWh: `12.4 J`, `1.33 kJ`, `2.1 kWh`. */
export function formatEnergy(energyUj: number, unit: EnergyUnit = 'auto'): string {
  const joules = ujToJ(energyUj);
  const [symbol, size] = energyUj === 0 ? zeroUnit(unit) : energyUnit(joules, unit);
  return `${formatNumber(joules / size)} ${symbol}`;
}

/** Nothing is nothing in joules, but where another unit was asked for. */
function zeroUnit(unit: EnergyUnit): Unit {
  return energyUnit(0, unit === 'auto' ? 'J' : unit);
}

/**
 * `12.4 ± 0.3 J`: value and bound in one unit, with the same number of decimals.
 *
 * The bound decides: it shows two significant digits, unless the value then had more than four. It
 * is rounded up, or it would not hold. The unit is that of the larger of the two.
 */
export function formatEnergyWithBound(
  energyUj: number,
  boundUj: number,
  unit: EnergyUnit = 'auto'
): string {
  const energyJ = ujToJ(energyUj);
  const boundJ = Math.abs(ujToJ(boundUj));
  const larger = Math.max(Math.abs(energyJ), boundJ);
  const [symbol, size] = larger ? energyUnit(larger, unit) : zeroUnit(unit);
  const value = energyJ / size;
  const bound = boundJ / size;
  if (bound === 0) {
    return `${formatNumber(value, 4)} ± 0 ${symbol}`;
  }
  return `${besideEachOther(value, bound, decimalsBeside(value, bound, unit))} ${symbol}`;
}

function decimalsBeside(value: number, bound: number, unit: EnergyUnit): number {
  const ofBound = decimalsOf(bound, 2);
  const both = value ? Math.min(ofBound, decimalsOf(value, 4)) : ofBound;
  // A unit that was not chosen by the figure may be far too large for it.
  return unit === 'auto' ? both : Math.min(both, MOST_DECIMALS);
}

function besideEachOther(value: number, bound: number, decimals: number): string {
  const scale = Number(`1e${decimals}`);
  // A millionth of a step is float noise, and must not add a whole one.
  const upwards = Math.max(1, Math.ceil(bound * scale - 1e-6)) / scale;
  // Adding zero turns the -0 that is left of a small negative value into 0.
  let texts = [rounded(value, decimals) + 0, upwards].map(number => fixed(number, decimals));
  while (texts[0]!.includes('.') && texts.every(text => text.endsWith('0'))) {
    texts = texts.map(text => text.slice(0, -1).replace(/\.$/, ''));
  }
  return texts.join(' ± ');
}

/** Microjoules as kilowatt-hours, for totals that are compared with bills: `0.0134 kWh`. */
export function formatKwh(energyUj: number): string {
  return `${formatNumber(ujToKwh(energyUj))} kWh`;
}

/** Microjoules as people who set limits write them: `12 J`, `50 Wh`, `1.2 kWh`. */
export function formatBudget(energyUj: number): string {
  const joules = ujToJ(energyUj);
  return energyUj === 0 ? '0 J' : format(joules, joules >= J_PER_WH ? IN_WH : ENERGY);
}

/** Watts as text: `62 W`, `3.41 W`, `12 mW`, `10.2 kW`. */
export function formatPower(powerW: number): string {
  return powerW === 0 ? '0 W' : format(powerW, POWER);
}

/** Grams of CO2 equivalent as text: `80 µg`, `0.8 mg`, `1.33 g`, `2.4 kg`. */
export function formatCo2(grams: number): string {
  return grams === 0 ? '0 g' : format(grams, CO2);
}

/** Seconds as text: `350 µs`, `12 ms`, `2.31 s`, `2:41 min`, `1:05:20 h`. */
export function formatDuration(seconds: number): string {
  if (seconds === 0 || !Number.isFinite(seconds)) {
    return `${formatNumber(seconds)} s`;
  }
  if (bestUnit(seconds, DURATION)) {
    return format(seconds, DURATION);
  }
  const whole = BigInt(fixed(Math.abs(seconds), 0));
  const [hours, minutes, rest] = [whole / 3600n, (whole / 60n) % 60n, twoDigits(whole % 60n)];
  return hours
    ? `${sign(seconds)}${hours}:${twoDigits(minutes)}:${rest} h`
    : `${sign(seconds)}${minutes}:${rest} min`;
}

function twoDigits(number: bigint): string {
  return number.toString().padStart(2, '0');
}

/** A share of one as percent: `71 %`, `0.4 %`. */
export function formatShare(share: number): string {
  return `${formatNumber(share * 100, 2)} %`;
}
