import type { ICellModel } from '@jupyterlab/cells';
import type { Notebook } from '@jupyterlab/notebook';
import { blake2b } from '@noble/hashes/blake2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

const known = new WeakMap<ICellModel, string>();

/** The cell as the journal names it: `digest` of `jupyter_green/recorder/names.py`. */
export function identityOf(cell: ICellModel): string {
  let identity = known.get(cell);
  if (identity === undefined) {
    identity = digest(cell.id);
    known.set(cell, identity);
  }
  return identity;
}

export function digest(text: string): string {
  return bytesToHex(blake2b(utf8ToBytes(text), { dkLen: 8 }));
}

/** Makes the cell the active one and brings it into view. */
export async function goToCell(notebook: Notebook, identity: string): Promise<void> {
  const index = notebook.widgets.findIndex(cell => identityOf(cell.model) === identity);
  if (index >= 0) {
    notebook.deselectAll();
    notebook.activeCellIndex = index;
    await notebook.scrollToItem(index, 'center');
  }
}
