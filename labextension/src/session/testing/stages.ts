/** The rows of stages as plain JSON: what `tests/golden/stages/table.py` makes of a journal. */

import { Fold } from '../fold';
import { NewerFormat, NotAJournal } from '../format';
import type { Session } from '../model';
import { Stages } from '../stages';
import { rounded } from '../units';

export function rowsOf(data: Uint8Array): object {
  const fold = new Fold();
  try {
    fold.feedBytes(data);
    const session = plain(fold.session());
    return fold.ended ? { session } : { session, orphan: plain(fold.session(true)) };
  } catch (error) {
    if (error instanceof NewerFormat || error instanceof NotAJournal) {
      return { refused: error.name };
    }
    throw error;
  }
}

export function plain(session: Session, stages = new Stages()): object[] {
  return stages.of(session).map(({ bound_uj, seconds, ...row }) => ({
    ...row,
    bound_uj: rounded(bound_uj, 0),
    seconds: rounded(seconds, 6)
  }));
}
