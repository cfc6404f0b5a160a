/** Which versions of the journal's format this version reads. */

import { FORMAT } from './vocabulary';

/** The journal has a newer major version of the format. */
export class NewerFormat extends Error {
  override readonly name = 'NewerFormat';
}

/** The journal has no first line. */
export class NotAJournal extends Error {
  override readonly name = 'NotAJournal';
}

const FORMAT_MAJOR = majorOf(FORMAT);

function majorOf(version: string): number {
  const [major] = version.split('.');
  return /^[0-9]{1,9}$/.test(major!) ? Number(major) : Infinity;
}

/** @throws NewerFormat with both versions and the remedy. */
export function checkFormat(version: string): void {
  if (majorOf(version) > FORMAT_MAJOR) {
    throw new NewerFormat(
      `this journal has format ${version}, and this panel reads up to ${FORMAT_MAJOR}.x: ` +
        'pip install --upgrade jupyter-green where JupyterLab is installed'
    );
  }
}

/**
 * A first line that cannot be read may be of a newer major version.
 *
 * @throws NewerFormat it is.
 */
export function refuseNewer(line: unknown): void {
  const first = line as { kind?: unknown; format?: unknown } | null;
  if (first?.kind === 'session_started' && typeof first.format === 'string') {
    checkFormat(first.format);
  }
}
