import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { Finding } from '../feed/panel';
import { h } from '../view/dom';
import { clean } from '../view/words';

/** What is measured on this machine, how well, and what would improve it. */
export async function showFindings(
  findings: readonly Finding[],
  trans: TranslationBundle
): Promise<void> {
  const node = h('div', { class: 'jg-findings' }, ...findings.map(element));
  await showDialog({
    title: trans.__('What is measured on this machine'),
    body: new Widget({ node }),
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}

function element(finding: Finding): HTMLElement {
  const { title, detail, remedy, commands, severity } = finding;
  return h(
    'section',
    { class: 'jg-finding', 'data-severity': severity },
    h('h3', {}, clean(title)),
    ...[detail, remedy].filter(Boolean).map(text => h('p', {}, clean(text))),
    commands.length > 0 ? h('pre', {}, commands.map(clean).join('\n')) : null
  );
}
