/** Sentences and figures for a person, as `jupyter_green/report/table.py` has them. */

import type { Units } from '../feed/panel';
import { belowResolution, intensityOf } from '../session/figures';
import type { Cell, Energy, Metric, Session } from '../session/model';
import {
  formatEnergy,
  formatEnergyWithBound,
  formatNumber,
  formatShare
} from '../session/units';

/** As Jupyter's `trans.__`: English text with %1, %2 ... for the arguments. */
export type Translate = (text: string, ...args: (string | number)[]) => string;

export const DASH = '–';

/** A tenth of a watt-hour and a thousand of them, in microjoules. */
const SOME_WH = 3.6e8;
const MANY_WH = 3.6e12;

/** A stage may be called anything. */
const LONGEST_STAGE = 60;

// Colours and cursor movements of a terminal.
const ANSI = /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]/g;
const STEERING = /[\p{Cc}\p{Zl}\p{Zp}\s]+/gu;
// Invisible, and able to turn the reading order; the two joiners are part of words and emoji.
const INVISIBLE = /(?![\u200c\u200d])\p{Cf}/gu;

/** Text of users and other programs on one line. */
export function clean(text: string): string {
  return text.replace(ANSI, '').replace(STEERING, ' ').replace(INVISIBLE, '').trim();
}

// --- energies ---

/** For totals that are compared with batteries and bills: watt-hours as soon as they are some. */
export function totalText(uj: number, units: Units): string {
  const fitting = units === 'auto' && uj >= SOME_WH && uj < MANY_WH ? 'Wh' : units;
  return formatEnergy(uj, fitting);
}

/** `12.4 J`, `≥ 12.4 J` where a part is missing, `not readable`. */
export function energyWords(
  energy: Energy,
  units: Units,
  t: Translate,
  words: (uj: number, units: Units) => string = formatEnergy
): string {
  if (energy.total_uj === null) {
    return t('not readable');
  }
  const text = words(energy.total_uj, units);
  return energy.missing.length > 0 ? `≥ ${text}` : text;
}

/**
 * What to think of it, short: `± 0.3 %`, `below resolution`, `dram-0 missing`,
 * `3 counters missing`, or nothing.
 */
export function boundWords(energy: Energy, t: Translate): string {
  if (energy.total_uj === null) {
    return '';
  }
  if (energy.missing.length > 1) {
    return t('%1 counters missing', energy.missing.length);
  }
  if (energy.missing.length > 0) {
    return missingWords(energy, t);
  }
  if (belowResolution(energy)) {
    return t('below resolution');
  }
  return energy.bound_uj > 0 && energy.total_uj > 0
    ? `± ${percentUp(energy.bound_uj / energy.total_uj)}`
    : '';
}

/** A bound as percent, rounded up: rounded down it would not hold. */
export function percentUp(share: number): string {
  const percent = share * 100;
  if (percent <= 0.1) {
    return '0.1 %';
  }
  const step = percent < 10 ? 10 : 1;
  return `${formatNumber(Math.ceil(percent * step - 1e-9) / step)} %`;
}

/** Everything that is known of it: value, bound, provenance, what is missing. */
export function energyTitle(energy: Energy, t: Translate): string {
  if (energy.total_uj === null) {
    return t('No counter could be read.');
  }
  const value =
    energy.missing.length > 0
      ? `≥ ${formatEnergy(energy.total_uj)}`
      : energy.bound_uj > 0
        ? formatEnergyWithBound(energy.total_uj, energy.bound_uj)
        : formatEnergy(energy.total_uj);
  const doubt = energy.missing.length > 0 ? missingWords(energy, t) : '';
  const below = belowResolution(energy) ? t('below resolution') : '';
  return joined([value, provenanceWords(energy.provenance, t), doubt, below], ', ');
}

export function missingWords(energy: Energy, t: Translate): string {
  return t('%1 missing', energy.missing.map(clean).join(', '));
}

const PROVENANCE = ['measured', 'integrated', 'modelled'];

/** `measured + modelled`. */
export function provenanceWords(provenance: readonly string[], t: Translate): string {
  const known = PROVENANCE.filter(name => provenance.includes(name));
  return known.map(name => t(name)).join(' + ');
}

// --- other figures ---

/** `71 %`; never more digits than anyone needs. */
export function shareText(share: number): string {
  return share > 0 && share < 0.001 ? '< 0.1 %' : formatShare(share);
}

/** A metric's value, without an exponent where it can be read so. */
export function metricText(value: number, digits = 4): string {
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  return Number.isFinite(value) ? formatNumber(value, digits) : value > 0 ? '∞' : '−∞';
}

/** `acc 0.914`. */
export const metricWords = (metric: Metric): string =>
  `${clean(metric.name)} ${metricText(metric.value)}`;

/** `training`, `training (suggested)`, of any length that is given. */
export function stageWords(stage: string, suggested: boolean, t: Translate): string {
  const name = clean(stage.slice(0, 2 * LONGEST_STAGE)) || t('(no text)');
  const short = name.length > LONGEST_STAGE ? `${name.slice(0, LONGEST_STAGE - 1)}…` : name;
  return suggested ? t('%1 (suggested)', short) : short;
}

/** What a cell is for, as far as somebody said so or it shows. */
export function purposeWords(
  { tags, suggested_stage }: Pick<Cell, 'tags' | 'suggested_stage'>,
  t: Translate
): string {
  const tagged = tags.stage?.trim();
  const stage = tagged || suggested_stage;
  return joined([
    stage ? t('stage: %1', stageWords(stage, !tagged, t)) : null,
    tags.technique?.trim() ? t('technique: %1', stageWords(tags.technique, false, t)) : null
  ]);
}

/** What a status other than ok means, or nothing. */
export function statusWords(cell: Pick<Cell, 'status' | 'error'>, t: Translate): string {
  switch (cell.status) {
    case 'ok':
      return '';
    case 'error':
      return cell.error ? clean(cell.error) : t('failed');
    case 'unfinished':
      return t('its end was not recorded');
    default:
      return t(clean(cell.status));
  }
}

/** `package-0` is `CPU 0`, where the counter's domain says so. */
export function deviceName(counter: string): string {
  return clean(counter)
    .replace(/^gpu-/, 'GPU ')
    .replace(/^package-/, 'CPU ');
}

/** `14:02`, with the date if it is not today's. */
export function clockText(wall_ms: number, now_ms: number): string {
  const then = new Date(wall_ms);
  const time = then.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  const today = new Date(now_ms).toDateString() === then.toDateString();
  return today ? time : `${then.toLocaleDateString()} ${time}`;
}

/** `3:05`, `1:02:03`, for columns of times; below a minute `12 s`. */
export function columnTime(seconds: number): string {
  if (seconds < 9.95) {
    return seconds < 0.1 ? '< 0.1 s' : `${seconds.toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor(whole / 60) % 60,
    whole % 60
  ];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** `30 s`, `5 min`, `1:30 min`, `2 h`, `2:30 h`: a round time on an axis. */
export function timeLabel(seconds: number): string {
  if (seconds < 60) {
    return `${seconds} s`;
  }
  const [unit, size] = seconds < 3600 ? ['min', 60] : ['h', 3600];
  const rest = Math.round(((seconds % size) / size) * 60);
  return `${Math.floor(seconds / size)}${rest > 0 ? `:${two(rest)}` : ''} ${unit}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Number and unit apart, for figures that are set large. */
export function figureAndUnit(words: string): [figure: string, unit: string] {
  const at = words.lastIndexOf(' ');
  return /\d/.test(words) && at > 0 ? [words.slice(0, at), words.slice(at + 1)] : [words, ''];
}

export const joined = (parts: readonly (string | null)[], by = ' · '): string =>
  parts.filter(Boolean).join(by);

// --- carbon ---

/** `Germany 2024, 344 g/kWh`. */
export function placeWords(session: Session, t: Translate): string {
  const intensity = intensityOf(session);
  if (intensity === null) {
    return '';
  }
  const year = intensity.year ? ` ${intensity.year}` : '';
  const value = t('%1 g/kWh', formatNumber(intensity.g_per_kwh));
  const estimated = intensity.estimated ? t('estimated') : null;
  return joined([`${clean(intensity.place)}${year}`, value, estimated], ', ');
}

/** Everything that the grams depend on. */
export function carbonTitle(session: Session, t: Translate): string {
  const intensities = session.periods.flatMap(period => period.intensity ?? []);
  const values = unique(intensities.map(intensity => intensity.g_per_kwh)).sort(
    (a, b) => a - b
  );
  const several =
    values.length > 1
      ? t(
          '%1 intensities from %2 to %3 g/kWh in this session',
          values.length,
          formatNumber(values[0]),
          formatNumber(values[values.length - 1])
        )
      : null;
  const pues = unique(session.periods.map(period => formatNumber(period.pricing.pue)));
  return joined([
    several,
    ...nowWords(session, t),
    ...unique(intensities.map(intensity => clean(intensity.basis))),
    `PUE ${pues.join(', ')}`,
    ...unique(intensities.map(intensity => clean(intensity.source)))
  ]);
}

/** How a reason ends where a live intensity could not be had: STANDS_IN in `events.py`. */
const STANDS_IN = 'stands in';

/** Why there is no live intensity; empty where there is one, or none was asked for. */
export function noLiveWords(session: Session, t: Translate): string {
  const reason = reasonOf(session);
  return reason.endsWith(STANDS_IN) ? t('no live intensity: %1', reason) : '';
}

/** The intensity that is in force, and why it is this one. */
function nowWords(session: Session, t: Translate): string[] {
  const now = t('now %1', placeWords(session, t));
  const noLive = noLiveWords(session, t);
  return noLive ? [now, noLive] : [joined([now, reasonOf(session)], ', ')];
}

/** Why the intensity last changed: a new price, or PUE, is no reason. */
function reasonOf({ periods }: Session): string {
  let index = periods.length - 1;
  while (
    index > 0 &&
    !periods[index].reason &&
    periods[index - 1].intensity === periods[index].intensity
  ) {
    index -= 1;
  }
  return clean(periods[index].reason);
}

export const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

// --- remedies ---

const COMMAND =
  /^\s*((?:sudo|pip|python3?|jupyter|echo|modprobe|nvidia-smi)\s.*?)(?:\s+#.*|;\s*`.*)?$/s;
const QUOTED = /`([^`]+)`/;

/** The line of a remedy that can be given to a terminal, or nothing: what is copied is seen. */
export function commandOf(remedy: string): string {
  return clean(COMMAND.exec(remedy)?.[1] ?? QUOTED.exec(remedy)?.[1] ?? '');
}
