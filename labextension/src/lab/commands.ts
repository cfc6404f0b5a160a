import { type ICommandPalette, InputDialog, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { ExportFormat, Place } from '../feed/panel';
import type { Store } from '../feed/store';
import { showFindings } from './findings';
import { energyIcon } from './icon';
import type { Notebooks } from './notebooks';

export const CommandIDs = {
  open: 'jupyter-green:open',
  start: 'jupyter-green:start',
  pause: 'jupyter-green:pause',
  setPlace: 'jupyter-green:set-place',
  export: 'jupyter-green:export',
  examine: 'jupyter-green:examine'
} as const;

const FORMATS: readonly ExportFormat[] = ['html', 'markdown', 'csv', 'json'];

/** Phases in which Start has something to do. */
const STARTABLE: readonly string[] = ['untracked', 'not-installed', 'failed', 'ended', 'died'];

export interface CommandContext {
  commands: CommandRegistry;
  notebooks: Notebooks;
  trans: TranslationBundle;
  open: () => void;
}

/** Does something with the active notebook's store, and tells what went wrong. */
type Act = (store: Store) => Promise<string | void>;

export function addCommands(context: CommandContext): void {
  const { commands, trans, open } = context;
  commands.addCommand(CommandIDs.open, {
    label: trans.__('Energy Panel'),
    caption: trans.__('Open the panel with the energy of the notebook'),
    icon: energyIcon,
    execute: open
  });
  addActions(context);
  keepFresh(context);
}

function addActions(context: CommandContext): void {
  const { trans, notebooks } = context;
  const tracked = () => notebooks.active?.store.tracked ?? false;
  const startable = () => STARTABLE.includes(notebooks.active?.store.state.phase ?? '');
  const paused = () => notebooks.active?.store.state.session?.paused ?? false;
  add(
    context,
    CommandIDs.start,
    () => trans.__('Start Tracking Energy'),
    startable,
    store => store.actions.start()
  );
  add(
    context,
    CommandIDs.pause,
    () => (paused() ? trans.__('Resume Tracking Energy') : trans.__('Pause Tracking Energy')),
    tracked,
    store => store.actions.track(paused())
  );
  add(
    context,
    CommandIDs.setPlace,
    () => trans.__('Set Place for Energy …'),
    tracked,
    store => setPlace(store, trans)
  );
  add(
    context,
    CommandIDs.export,
    () => trans.__('Export Energy Report …'),
    tracked,
    store => exportReport(store, trans)
  );
  add(
    context,
    CommandIDs.examine,
    () => trans.__('Examine Energy Counters …'),
    tracked,
    store => examine(store, trans)
  );
}

function add(
  { commands, notebooks }: CommandContext,
  id: string,
  label: () => string,
  isEnabled: () => boolean,
  act: Act
): void {
  commands.addCommand(id, {
    label,
    isEnabled,
    isVisible: () => notebooks.active !== null,
    execute: () => {
      const store = notebooks.active?.store;
      return store && told(act(store));
    },
    describedBy: { args: { type: 'object', properties: {} } }
  });
}

export function addToPalette(palette: ICommandPalette, trans: TranslationBundle): void {
  for (const command of Object.values(CommandIDs)) {
    palette.addItem({ command, category: trans.__('Energy') });
  }
}

/** Menus and palette show what can be done now. */
function keepFresh({ commands, notebooks }: CommandContext): void {
  let before = '';
  let end: (() => void) | undefined;
  const look = () => {
    const state = notebooks.active?.store.state;
    const now = `${state?.phase} ${state?.session?.paused}`;
    if (now !== before) {
      before = now;
      Object.values(CommandIDs).forEach(id => commands.notifyCommandChanged(id));
    }
  };
  notebooks.activeChanged.connect((_, active) => {
    end?.();
    end = active?.store.subscribe(look);
    look();
  });
}

async function told(action: Promise<string | void>): Promise<void> {
  try {
    const sentence = await action;
    if (sentence) {
      Notification.success(sentence, { autoClose: 5000 });
    }
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error));
  }
}

async function setPlace(store: Store, trans: TranslationBundle): Promise<string | void> {
  const { places, current } = await store.actions.places();
  const names = places.map(nameOf);
  const { button, value } = await InputDialog.getItem({
    title: trans.__('Whose electricity is it?'),
    label: trans.__('A name or a code such as FR or US-CA; empty: no CO₂e is computed.'),
    items: names,
    current: names[places.findIndex(place => place.code === current)] ?? '',
    editable: true
  });
  if (button.accept) {
    const chosen = (value ?? '').trim();
    return store.actions.setPlace(places[names.indexOf(chosen)]?.code ?? (chosen || null));
  }
}

function nameOf({ name, code }: Place): string {
  return `${name} (${code})`;
}

async function exportReport(store: Store, trans: TranslationBundle): Promise<void> {
  const { button, value } = await InputDialog.getItem({
    title: trans.__('Export the session so far'),
    label: trans.__('Format:'),
    items: [...FORMATS],
    okLabel: trans.__('Export')
  });
  if (button.accept && value) {
    await store.actions.exportAs(value as ExportFormat);
  }
}

async function examine(store: Store, trans: TranslationBundle): Promise<void> {
  await showFindings(await store.actions.examine(), trans);
}
