/**
 * Questions on the control channel, which a kernel answers while a cell runs.
 *
 * A kernel may answer there whatever it answers on the shell channel; ipykernel does. Lab asks on
 * the shell channel only, where it takes as long as the cell does.
 */

import { type Kernel, KernelMessage } from '@jupyterlab/services';

export type Content = Record<string, unknown>;

/** Longer than Lab may keep a message back. */
const PATIENCE_MS = 5_000;

/** The content of the kernel's reply; null where none came in time, or an error. */
export async function askControl(
  kernel: Kernel.IKernelConnection,
  msgType: string,
  content: Content = {}
): Promise<Content | null> {
  try {
    const future = kernel.sendControlMessage(controlMessage(kernel, msgType, content), true);
    const timer = setTimeout(() => future.dispose(), PATIENCE_MS);
    const reply = await future.done;
    clearTimeout(timer);
    return contentOf(reply);
  } catch {
    // Not connected, disposed, restarted: the answer would be of no use.
    return null;
  }
}

function contentOf(reply: { content: unknown } | undefined): Content | null {
  const content = reply?.content as Content | undefined;
  return content === undefined || content.status === 'error' ? null : content;
}

function controlMessage(
  kernel: Kernel.IKernelConnection,
  msgType: string,
  content: Content
): KernelMessage.IControlMessage {
  const options = {
    msgType,
    channel: 'control',
    username: kernel.username,
    session: kernel.clientId,
    content
  } as unknown as KernelMessage.IOptions<KernelMessage.IDebugRequestMsg>;
  return KernelMessage.createMessage(options);
}
