import type { Cell, OpenCell, Session } from '../session/model';

/** What is known of the runs of one cell of the notebook. */
export interface Runs {
  last: Cell | null;
  open: OpenCell | null;
  count: number;
  total_uj: number;
}

/** By the cell's identity. */
export function runsOf(session: Session): Map<string, Runs> {
  const runs = new Map<string, Runs>();
  for (const cell of session.cells) {
    const known = entry(runs, cell.cell);
    known.last = cell;
    known.count += 1;
    known.total_uj += cell.energy.total_uj ?? 0;
  }
  for (const cell of session.open_cells) {
    const known = entry(runs, cell.cell);
    known.open = cell;
    known.count += 1;
    known.total_uj += cell.so_far.total_uj ?? 0;
  }
  return runs;
}

/** Finished runs are frozen: one that was corrected is another object. Running ones grow. */
export function sameRuns(one: Runs, other: Runs): boolean {
  return (
    one.open === null &&
    other.open === null &&
    one.last === other.last &&
    one.count === other.count &&
    one.total_uj === other.total_uj
  );
}

function entry(runs: Map<string, Runs>, identity: string): Runs {
  let known = runs.get(identity);
  if (known === undefined) {
    known = { last: null, open: null, count: 0, total_uj: 0 };
    runs.set(identity, known);
  }
  return known;
}
