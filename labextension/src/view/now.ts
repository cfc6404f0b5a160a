/** What happens now: watts with their provenance, the devices, and how to measure what is modelled. */

import type { State } from '../feed/panel';
import { wallAt } from '../session/figures';
import type { DeviceState, Refusal } from '../session/vocabulary';
import type { Session } from '../session/model';
import { formatPower, formatShare } from '../session/units';
import type { Context, Section } from './context';
import { attribute, copyButton, h, Keyed, show, text } from './dom';
import {
  clean,
  clockText,
  commandOf,
  DASH,
  deviceName,
  figureAndUnit,
  joined,
  provenanceWords
} from './words';

const GIB = 2 ** 30;
/** A modelled or missing processor becomes a measured one through these. */
const PROCESSOR_SOURCES = ['rapl', 'perf'];

export function now(context: Context): Section {
  const t = context.translate;
  const figure = h('span', { class: 'jg-watts' });
  const unit = h('span', { class: 'jg-unit' });
  const power = h('span', { class: 'jg-power', 'data-figure': 'power' }, figure, ' ', unit);
  const chip = h('span', { class: 'jg-chip', 'data-figure': 'provenance' });
  const past = h('p', { class: 'jg-past' });
  const devices = h('ul', { class: 'jg-devices', 'aria-label': t('Devices') });
  const remedy = h('div', { class: 'jg-remedy' });
  const live = h('p', { class: 'jg-now' }, power, chip);
  const lines = new Keyed<[string, DeviceState]>(
    devices,
    () => h('li'),
    (element, [name, device]) => text(element, deviceWords(name, device, t))
  );
  let told: string | null = null;

  const tellRemedy = (refusal: Refusal | null): void => {
    const words = refusal?.remedy ?? '';
    if (words === told) {
      return;
    }
    told = words;
    show(remedy, words !== '');
    const line = commandOf(words) || clean(words);
    remedy.replaceChildren(
      h('span', { class: 'jg-dim' }, t('To have it measured:')),
      h('div', { class: 'jg-command' }, h('code', {}, line), copyButton(t, line))
    );
  };

  return {
    element: h('section', { 'aria-label': t('Now') }, live, past, devices, remedy),
    update(state, session) {
      const isLive = state.phase === 'live' && !session.paused;
      const power = session.power_w;
      show(live, isLive);
      show(past, !isLive);
      const [number, symbol] = figureAndUnit(
        power === null ? unknown(session) : atLeast(session) + formatPower(power)
      );
      text(figure, number);
      text(unit, power === null ? t(waits(session) ? 'W' : 'W not readable') : symbol);
      const provenance = provenanceWords(session.total.provenance, t);
      text(chip, provenance);
      show(chip, provenance !== '' && power !== null);
      attribute(
        chip,
        'data-of',
        session.total.provenance.length > 1 ? 'mixed' : (session.total.provenance[0] ?? '')
      );
      attribute(chip, 'title', sourcesTitle(session));
      text(past, pastWords(context, state, session));
      lines.update(isLive ? Object.entries(session.devices) : [], ([name]) => name);
      tellRemedy(isLive ? processorRefusal(session) : null);
    }
  };
}

/** Power needs two readings: after the first one it is merely not known yet. */
const waits = ({ total }: Session): boolean =>
  total.total_uj !== null && total.missing.length === 0;

const unknown = (session: Session): string => (waits(session) ? '…' : DASH);

/** A counter that cannot be read at present is not in the watts. */
function atLeast(session: Session): string {
  const lost = session.holes.some(
    hole => hole.until_s === null && session.counters[hole.counter]?.counted
  );
  return lost ? '≥ ' : '';
}

function pastWords(context: Context, state: State, session: Session): string {
  const t = context.translate;
  if (state.phase === 'live') {
    return t('Tracking is paused. The time is counted, and no cell is given its energy.');
  }
  const words = state.phase === 'asleep' ? t('asleep') : t('last seen');
  if (session.power_w === null) {
    return words;
  }
  const at = clockText(wallAt(session, session.duration_s) * 1000, context.now());
  return `${words} · ${t('%1 at %2', formatPower(session.power_w), at)}`;
}

function deviceWords(name: string, device: DeviceState, t: Context['translate']): string {
  const parts = [
    device.utilisation === null ? null : t('%1 busy', formatShare(device.utilisation)),
    device.memory_bytes === null || !device.memory_total_bytes
      ? null
      : t(
          '%1 of %2 GiB',
          (device.memory_bytes / GIB).toFixed(1),
          (device.memory_total_bytes / GIB).toFixed(0)
        ),
    device.power_w === null ? null : formatPower(device.power_w),
    device.temperature_c === null ? null : `${device.temperature_c.toFixed(0)} °C`
  ];
  return `${deviceName(name)}: ${joined(parts, ', ') || t('in use')}`;
}

function sourcesTitle(session: Session): string {
  const counted = Object.values(session.counters).filter(info => info.counted);
  const lines = counted.map(
    info =>
      `${clean(info.name)}: ${clean(info.provenance)} (${joined([clean(info.source), clean(info.device), clean(info.assumption)], ', ')})`
  );
  return lines.join('\n');
}

/** What keeps the processor from being measured; null where it is. */
export function processorRefusal(session: Session): Refusal | null {
  const processor = Object.values(session.counters).filter(info =>
    ['package', 'cpu'].includes(info.domain)
  );
  if (processor.some(info => info.provenance === 'measured')) {
    return null;
  }
  const refusals = PROCESSOR_SOURCES.flatMap(source =>
    session.refused.filter(refusal => refusal.source === source && !refusal.by_choice)
  );
  return refusals.find(refusal => refusal.remedy !== '') ?? null;
}
