/** A thread of the kernel in which our messages are handled while a cell runs (JEP 91). */

import type { Kernel } from '@jupyterlab/services';
import { askControl } from './control';

const KEY = 'jupyter-green:subshells';

/** Kernels that are remembered; the oldest is forgotten first. */
const MOST_KERNELS = 50;

/** The subshell of this kernel for us: one for all pages, also after a reload. Null: it has none. */
export async function subshellOf(kernel: Kernel.IKernelConnection): Promise<string | null> {
  const info = await askControl(kernel, 'kernel_info_request');
  const features = info?.supported_features;
  if (!Array.isArray(features) || !features.includes('kernel subshells')) {
    return null;
  }
  return (await remembered(kernel)) ?? (await created(kernel));
}

/** Nothing will be sent to the kernel any more. */
export async function deleteSubshell(
  kernel: Kernel.IKernelConnection,
  subshell_id: string
): Promise<void> {
  write(read().filter(([id]) => id !== kernel.id));
  await askControl(kernel, 'delete_subshell_request', { subshell_id });
}

async function remembered(kernel: Kernel.IKernelConnection): Promise<string | null> {
  const entry = read().find(([id]) => id === kernel.id);
  if (entry === undefined) {
    return null;
  }
  const reply = await askControl(kernel, 'list_subshell_request');
  const living = reply?.subshell_id;
  return Array.isArray(living) && living.includes(entry[1]) ? entry[1] : null;
}

async function created(kernel: Kernel.IKernelConnection): Promise<string | null> {
  const reply = await askControl(kernel, 'create_subshell_request');
  if (typeof reply?.subshell_id !== 'string') {
    return null;
  }
  const others = read().filter(([id]) => id !== kernel.id);
  write([...others, [kernel.id, reply.subshell_id]]);
  return reply.subshell_id;
}

type Entry = [kernel: string, subshell: string];

function read(): Entry[] {
  try {
    const entries: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(entries) ? entries.filter(isEntry) : [];
  } catch {
    // A browser may refuse storage, and anybody may have written there.
    return [];
  }
}

function isEntry(entry: unknown): entry is Entry {
  return Array.isArray(entry) && entry.every(part => typeof part === 'string');
}

function write(entries: Entry[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(-MOST_KERNELS)));
  } catch {
    // Without storage each page has a subshell of its own.
  }
}
