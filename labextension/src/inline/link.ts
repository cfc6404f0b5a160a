import type { FromKernel, Link, ToKernel } from '../feed/protocol';
import type { OnMessage, WidgetModel } from './widget';

/** A widget's messages as a way to its kernel. */
export class WidgetLink implements Link {
  onMessage: Link['onMessage'] = null;
  #model: WidgetModel;
  #receive: OnMessage = (message, buffers) =>
    this.onMessage?.(message as FromKernel, buffers ?? []);

  constructor(model: WidgetModel) {
    this.#model = model;
    model.on('msg:custom', this.#receive);
  }

  send(message: ToKernel): void {
    this.#model.send(message);
  }

  dispose(): void {
    this.#model.off('msg:custom', this.#receive);
  }
}
