/** Light or dark, as the page around says, or else as the system does. */

const ATTRIBUTES = [
  'class',
  'data-jp-theme-light',
  'data-jp-theme-name',
  'data-vscode-theme-kind',
  'theme'
];

/** Marks the panel as dark or light, and calls back after every change; returns how to end that. */
export function watchTheme(root: HTMLElement, changed: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const apply = (): void => {
    root.classList.toggle('jg-dark', isDark(system.matches));
    changed();
  };
  const observer = new MutationObserver(apply);
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter: ATTRIBUTES });
  }
  system.addEventListener('change', apply);
  root.addEventListener('theme', apply);
  apply();
  return () => {
    observer.disconnect();
    system.removeEventListener('change', apply);
    root.removeEventListener('theme', apply);
  };
}

/** JupyterLab, VS Code and Colab each say it in their own way. */
function isDark(systemIsDark: boolean): boolean {
  const { body, documentElement: page } = document;
  const jupyter = body.getAttribute('data-jp-theme-light');
  const code = body.getAttribute('data-vscode-theme-kind');
  const colab = page.getAttribute('theme');
  if (jupyter !== null) {
    return jupyter === 'false';
  }
  if (code !== null) {
    return /dark|high-contrast$/.test(code);
  }
  return colab !== null ? colab === 'dark' : systemIsDark;
}
