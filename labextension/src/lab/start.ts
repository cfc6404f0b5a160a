import type { Kernel, KernelMessage } from '@jupyterlab/services';

/**
 * An expression, not a statement: it leaves no name behind, and its error is in the reply. IPython
 * is imported in it because a notebook may have given `get_ipython` another meaning.
 */
const LOAD =
  "__import__('IPython').get_ipython().extension_manager.load_extension('jupyter_green')";

/** What came of loading tracking into a kernel. */
export type Outcome =
  | { result: 'loaded' }
  | { result: 'not-installed'; detail: string }
  | { result: 'failed'; detail: string }
  | { result: 'aborted' };

export async function loadTracking(kernel: Kernel.IKernelConnection): Promise<Outcome> {
  const reply = await kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    stop_on_error: false,
    allow_stdin: false,
    user_expressions: { loaded: LOAD }
  }).done;
  if (reply?.content.status !== 'ok') {
    return { result: 'aborted' };
  }
  const expressions = (reply.content as KernelMessage.IExecuteReply).user_expressions;
  return outcomeOf(expressions.loaded as unknown as Loaded);
}

/** How a kernel tells the value of an expression, or its error. */
interface Loaded {
  status: string;
  ename?: string;
  evalue?: string;
  data?: Record<string, string>;
}

function outcomeOf({ status, ename = '', evalue = '', data }: Loaded): Outcome {
  if (status === 'error') {
    const detail = evalue === '' ? ename : `${ename}: ${evalue}`;
    const missing = ename === 'ModuleNotFoundError' && evalue.includes("'jupyter_green'");
    return { result: missing ? 'not-installed' : 'failed', detail };
  }
  const said = data?.['text/plain'] ?? '';
  return said.includes('no load function')
    ? { result: 'failed', detail: `jupyter_green: ${said}` }
    : { result: 'loaded' };
}
