import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Badges } from './badges';
import { addCommands, addToPalette } from './commands';
import { Notebooks } from './notebooks';
import { EnergyPanel } from './panel';
import { Settings } from './settings';
import { StatusItem } from './status';

const ID = 'jupyter-green:plugin';

/** Everything but notebooks is optional, and missing somewhere: Notebook 7 has no `ILabShell`. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'The energy of every notebook cell, live beside the accuracy you log.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [
    ITranslator,
    ISettingRegistry,
    ICommandPalette,
    IStatusBar,
    ILayoutRestorer,
    ILabShell
  ],
  activate
};

async function activate(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  translator: ITranslator | null,
  registry: ISettingRegistry | null,
  palette: ICommandPalette | null,
  statusBar: IStatusBar | null,
  restorer: ILayoutRestorer | null
): Promise<void> {
  const { commands, shell, restored } = app;
  const trans = (translator ?? nullTranslator).load('jupyter_green');
  const settings = new Settings();
  const notebooks = new Notebooks(tracker, {
    settings,
    trans,
    activate: panel => shell.activateById(panel.id)
  });
  const panel = new EnergyPanel(notebooks, trans);
  const open = () => shell.activateById(panel.id);
  shell.add(panel, 'right', { rank: 600 });
  restorer?.add(panel, panel.id);
  addCommands({ commands, notebooks, trans, open });
  if (palette) {
    addToPalette(palette, trans);
  }
  if (statusBar) {
    const item = new StatusItem(notebooks, settings, trans, open);
    statusBar.registerStatusItem('jupyter-green:status', {
      item,
      align: 'right',
      rank: 600,
      isActive: () => item.isActive,
      activeStateChanged: item.activeStateChanged
    });
  }
  notebooks.added.connect((_, tracking) => new Badges(tracking, settings, trans));
  if (registry) {
    settings.follow(await registry.load(ID));
  }
  notebooks.begin();
  if (settings.values.openPanel) {
    void restored.then(open);
  }
}

export default [plugin];
