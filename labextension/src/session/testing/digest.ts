/** A session as plain JSON: what `tests/golden/README.md` describes, and digest.py makes. */

import { co2G, cost } from '../figures';
import { Fold } from '../fold';
import { NewerFormat, NotAJournal } from '../format';
import type { Cell, Energy, Entry, Metric, OpenCell, Period, Session, Span } from '../model';
import { rounded } from '../units';
import { VALUES } from '../vocabulary';

/** What a reader must make of a journal. */
export function digest(data: Uint8Array): object {
  const fold = new Fold();
  try {
    fold.feedBytes(data);
    const session = ofSession(fold.session());
    return fold.ended ? { session } : { session, orphan: ofSession(fold.session(true)) };
  } catch (error) {
    if (error instanceof NewerFormat || error instanceof NotAJournal) {
      return { refused: error.name };
    }
    throw error;
  }
}

function ofSession(session: Session): object {
  const { ledger, devices_s, ...told } = session;
  return {
    ...told,
    started_wall_s: seconds(session.started_wall_s),
    ended_wall_s: seconds(session.ended_wall_s),
    duration_s: seconds(session.duration_s),
    total: ofEnergy(session, session.total),
    ledger: mapped(ledger.entries, entry => ofEntry(session, entry)),
    cells: session.cells.map(cell => ({
      ...ofWindow(session, cell),
      category: ledger.category_of.get(cell.number) ?? null
    })),
    open_cells: session.open_cells.map(cell => ofOpenCell(session, cell)),
    spans: session.spans.map(span => ofWindow(session, span)),
    metrics: session.metrics.map(ofMetric),
    models: session.models.map(({ kind, uj, error_uj, n, ...model }) => model),
    periods: session.periods.map(ofPeriod),
    power_w: orNull(session.power_w, 6),
    devices: mapped(session.devices, state => leftOut('DeviceState', state))
  };
}

function ofWindow(session: Session, window: Cell | Span): object {
  return {
    ...window,
    started_s: seconds(window.started_s),
    finished_s: seconds(window.finished_s),
    energy: ofEnergy(session, window.energy)
  };
}

function ofOpenCell(session: Session, cell: OpenCell): object {
  return {
    ...cell,
    started_s: seconds(cell.started_s),
    so_far: ofEnergy(session, cell.so_far)
  };
}

function ofMetric(metric: Metric): object {
  const { value } = metric;
  const text = Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  return {
    ...metric,
    value: Number.isFinite(value) ? value : text,
    logged_s: seconds(metric.logged_s)
  };
}

function ofEnergy(session: Session, energy: Energy): object {
  return {
    ...energy,
    lag_uj: rounded(energy.lag_uj, 0),
    bound_uj: rounded(energy.bound_uj, 0),
    ...money(session, energy)
  };
}

function ofEntry(session: Session, entry: Entry): object {
  return { ...entry, seconds: seconds(entry.seconds), ...money(session, entry) };
}

function money(session: Session, energy: Energy | Entry): object {
  return { co2_g: orNull(co2G(session, energy), 9), cost: orNull(cost(session, energy), 9) };
}

function ofPeriod(period: Period): object {
  return { ...period, since_s: seconds(period.since_s) };
}

/** A value as a journal holds it, without what has its usual value. */
function leftOut(type: string, value: object): object {
  const fields = VALUES[type]!;
  const told = Object.entries(value).filter(
    ([name, item]) => JSON.stringify(item) !== JSON.stringify(fields[name]![1])
  );
  return Object.fromEntries(
    told.map(([name, item]) => [
      name,
      name === 'processes' && item
        ? (item as object[]).map(process => leftOut('DeviceProcess', process))
        : item
    ])
  );
}

function mapped<T>(record: Record<string, T>, map: (value: T) => object): object {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function seconds(value: number): number {
  return rounded(value, 6);
}

function orNull(value: number | null, decimals: number): number | null {
  return value === null ? null : rounded(value, decimals);
}
