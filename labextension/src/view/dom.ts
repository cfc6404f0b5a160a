/** A small helper for elements: text goes in as text nodes only, and what is unchanged is not touched. */

export type Child = Node | string | null;

export type Attributes = Record<string, string | number | boolean | null>;

/** An element with attributes (`true`: present, `false` and `null`: absent) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return filled(
    document.createElementNS('http://www.w3.org/2000/svg', tag),
    attributes,
    children
  );
}

function filled<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const name in attributes) {
    attribute(element, name, attributes[name]);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

export function attribute(element: Element, name: string, value: Attributes[string]): void {
  const text = value === true ? '' : value === false || value === null ? null : String(value);
  if (element.getAttribute(name) === text) {
    return;
  }
  if (text === null) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, text);
  }
}

export function text(element: Element, value: string): void {
  if (element.textContent !== value) {
    element.textContent = value;
  }
}

/** Through the object model, which no content security policy forbids. */
export function style(element: HTMLElement, name: string, value: string): void {
  if (element.style.getPropertyValue(name) !== value) {
    element.style.setProperty(name, value);
  }
}

export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) {
    element.hidden = !shown;
  }
}

export function button(
  label: string,
  act: () => void,
  attributes: Attributes = {}
): HTMLButtonElement {
  const element = h('button', { type: 'button', ...attributes }, label);
  element.addEventListener('click', act);
  return element;
}

/** What is open is closed by Escape; who is around it does not hear of it. */
export function onEscape(element: HTMLElement, close: () => void): void {
  element.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      close();
    }
  });
}

/** A select of names by value; `chosen` is called with the value that the user takes. */
export function select(
  label: string,
  options: readonly (readonly [value: string, name: string])[],
  chosen: (value: string) => void = () => undefined
): HTMLSelectElement {
  const element = h('select', { 'aria-label': label });
  setOptions(element, options);
  element.addEventListener('change', () => chosen(element.value));
  return element;
}

export function setOptions(
  element: HTMLSelectElement,
  options: readonly (readonly [value: string, name: string])[]
): void {
  const before = element.value;
  element.replaceChildren(...options.map(([value, name]) => h('option', { value }, name)));
  if (options.some(([value]) => value === before)) {
    element.value = before;
  }
}

/** Keeps one child for each key, in the order of the items; new ones are made, old ones go. */
export class Keyed<T, E extends Element = HTMLElement> {
  private readonly _elements = new Map<string, E>();

  constructor(
    private readonly _parent: Element,
    private readonly _make: (item: T) => E,
    private readonly _update: (element: E, item: T) => void
  ) {}

  update(items: readonly T[], keyOf: (item: T) => string): void {
    const keys = new Set(items.map(keyOf));
    for (const [key, element] of this._elements) {
      if (!keys.has(key)) {
        element.remove();
        this._elements.delete(key);
      }
    }
    let before: Element | null = null;
    for (const item of items) {
      before = this._place(keyOf(item), item, before);
    }
  }

  private _place(key: string, item: T, before: Element | null): E {
    let element = this._elements.get(key);
    if (element === undefined) {
      element = this._make(item);
      this._elements.set(key, element);
    }
    const at = before === null ? this._parent.firstElementChild : before.nextElementSibling;
    if (at !== element) {
      this._parent.insertBefore(element, at);
    }
    this._update(element, item);
    return element;
  }
}

/** Copies into the clipboard; a page without the right for it gets the older way. */
export function copyButton(
  translate: (text: string) => string,
  what: string
): HTMLButtonElement {
  const label = translate('Copy');
  const element = button(label, () => void copy(), { class: 'jg-copy', title: what });
  const copy = async (): Promise<void> => {
    const done = await copied(element, what);
    element.textContent = translate(done ? 'Copied' : 'Not copied');
    setTimeout(() => (element.textContent = label), 2000);
  };
  return element;
}

async function copied(beside: HTMLElement, what: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(what);
    return true;
  } catch {
    return copiedBySelection(beside, what);
  }
}

function copiedBySelection(beside: HTMLElement, what: string): boolean {
  const area = h('textarea', { readonly: true, class: 'jg-hidden' });
  area.value = what;
  beside.after(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  beside.focus();
  return done;
}

let identities = 0;

/** An id for `aria-labelledby` and `aria-controls`, unique on the page. */
export function identity(): string {
  identities += 1;
  return `jg-${identities}`;
}

/** Nobody reads a table faster than this. */
const TABLE_EVERY_MS = 3000;
const MOST_TABLE_ROWS = 60;

/** The table of a chart for those who do not see it; made at leisure, as a chart changes often. */
export class HiddenTable<T> {
  readonly element: HTMLElement;
  private readonly _body = h('tbody');
  private _items: readonly T[] = [];
  private _timer: ReturnType<typeof setTimeout> | null = null;

  constructor(
    caption: string,
    columns: readonly string[],
    private readonly _cells: (item: T) => string[]
  ) {
    const head = h('tr', {}, ...columns.map(column => h('th', { scope: 'col' }, column)));
    const table = h('table', {}, h('caption', {}, caption), h('thead', {}, head), this._body);
    this.element = h('div', { class: 'jg-hidden' }, table);
  }

  update(items: readonly T[]): void {
    this._items = items;
    this._timer ??= setTimeout(
      () => this._fill(),
      this._body.hasChildNodes() ? TABLE_EVERY_MS : 0
    );
  }

  dispose(): void {
    clearTimeout(this._timer ?? undefined);
  }

  private _fill(): void {
    this._timer = null;
    const every = Math.max(1, Math.ceil(this._items.length / MOST_TABLE_ROWS));
    const shown = this._items.filter((_, index) => index % every === 0).map(this._cells);
    while (this._body.rows.length > shown.length) {
      this._body.lastElementChild!.remove();
    }
    shown.forEach((cells, index) => {
      const row =
        this._body.rows[index] ??
        this._body.appendChild(h('tr', {}, ...cells.map(() => h('td'))));
      cells.forEach((words, column) => text(row.cells[column], words));
    });
  }
}
