import { type Kernel, KernelMessage } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';
import { COMM_ID, type FromKernel, type Link, TARGET, type ToKernel } from '../feed/protocol';
import { askControl } from './control';
import { deleteSubshell, subshellOf } from './subshell';
import { Voice } from './voice';

/**
 * The comm of a kernel by raw messages.
 *
 * Lab's own comm objects do not do: only the first connection to a kernel in a page has them, and
 * the kernel registers this comm without opening it, because a client that does not know its
 * target would close it.
 */
export class Connection implements Link {
  readonly kernel: Kernel.IKernelConnection;
  onMessage: Link['onMessage'] = null;
  #voice: Voice;
  #subshell: Promise<string | null> | null = null;
  #sending: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(kernel: Kernel.IKernelConnection) {
    this.kernel = kernel;
    this.#voice = new Voice(kernel);
    kernel.iopubMessage.connect(this.#onIopub, this);
  }

  /** Whether tracking is loaded: to a kernel without the comm nothing may be sent, it would
   * write a warning. Rejects where the kernel went away. */
  async isTracked(): Promise<boolean> {
    await this.#voice.ready;
    const target_name = TARGET;
    const content =
      (await askControl(this.#voice.connection, 'comm_info_request', { target_name })) ??
      (await this.kernel.requestCommInfo({ target_name })).content;
    return COMM_ID in ((content as { comms?: object }).comms ?? {});
  }

  send(message: ToKernel): void {
    this.#subshell ??= this.#voice.ready.then(() => subshellOf(this.#voice.connection));
    const subshell = this.#subshell;
    this.#sending = this.#sending
      .then(async () => this.#deliver(message, await subshell))
      // A kernel that dies at this moment takes no message; the next one may live.
      .catch(() => undefined);
  }

  /** The session was ended: the kernel needs no thread for us any more. */
  async release(): Promise<void> {
    const subshell = await this.#subshell;
    this.#subshell = null;
    if (subshell) {
      await deleteSubshell(this.#voice.connection, subshell);
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.onMessage = null;
    this.#voice.dispose();
    this.kernel.iopubMessage.disconnect(this.#onIopub, this);
  }

  #deliver(data: ToKernel, subshell: string | null): void {
    const kernel = this.#voice.connection;
    if (this.#disposed || kernel.isDisposed || kernel.status === 'dead') {
      return;
    }
    const message = KernelMessage.createMessage<KernelMessage.ICommMsgMsg<'shell'>>({
      msgType: 'comm_msg',
      channel: 'shell',
      username: kernel.username,
      session: kernel.clientId,
      content: { comm_id: COMM_ID, data: data as unknown as JSONObject }
    });
    if (subshell !== null) {
      message.header.subshell_id = subshell;
    }
    kernel.sendShellMessage(message, false, true).done.catch(() => undefined);
  }

  #onIopub(_: unknown, message: KernelMessage.IIOPubMessage): void {
    if (KernelMessage.isCommMsgMsg(message) && message.content.comm_id === COMM_ID) {
      this.onMessage?.(message.content.data as unknown as FromKernel, views(message.buffers));
    }
  }
}

function views(buffers: KernelMessage.IMessage['buffers']): DataView[] {
  return (buffers ?? []).map(buffer =>
    ArrayBuffer.isView(buffer)
      ? new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new DataView(buffer)
  );
}
