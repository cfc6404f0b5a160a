/**
 * Stages of journals, for a comparison with another reader's: of each journal that is named, a line
 * of JSON.
 */

import { readFileSync } from 'node:fs';
import { rowsOf } from './stages';

for (const journal of process.argv.slice(2)) {
  console.log(JSON.stringify(rowsOf(readFileSync(journal))));
}
