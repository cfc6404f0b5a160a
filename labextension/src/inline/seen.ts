/** Calls back with whether an element is in view of a page that is; returns how to end that. */
export function watchSeen(element: HTMLElement, changed: (seen: boolean) => void): () => void {
  let inView = false;
  const look = (): void => changed(inView && document.visibilityState === 'visible');
  const observer = new IntersectionObserver(entries => {
    inView = entries.at(-1)?.isIntersecting ?? false;
    look();
  });
  observer.observe(element);
  document.addEventListener('visibilitychange', look);
  return () => {
    observer.disconnect();
    document.removeEventListener('visibilitychange', look);
  };
}
