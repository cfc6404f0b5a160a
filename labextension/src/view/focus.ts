/** The keyboard's place in the panel. */

/**
 * Watches a panel's focus; returns what to call when elements may have been hidden: a control that
 * hides with the focus on it (Start, once tracking has begun) hands it on to the panel, so that the
 * next tab goes on from there and not from the page's top.
 */
export function keepFocus(panel: HTMLElement): () => void {
  let last: Element | null = null;
  panel.tabIndex = -1;
  panel.addEventListener('focusin', event => (last = event.target as Element));
  panel.addEventListener('focusout', () => {
    // Hidden elements lose it, too.
    if (last?.checkVisibility()) {
      last = null;
    }
  });
  return () => {
    if (last !== null && !last.checkVisibility()) {
      last = null;
      panel.focus({ preventScroll: true });
    }
  };
}
