/** What anywidget gives to a front-end module, as far as it is used here. */

export type OnMessage = (message: unknown, buffers: DataView[]) => void;

export interface WidgetModel {
  get(name: 'fallback'): string | undefined;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  on(event: 'msg:custom', heard: OnMessage): void;
  off(event: 'msg:custom', heard: OnMessage): void;
}

export interface RenderContext {
  model: WidgetModel;
  el: HTMLElement;
}
