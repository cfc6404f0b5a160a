/** Long work in slices, so that the page goes on drawing in between. */

/** Of a frame's 16 ms, what one slice may take. */
const BUDGET_MS = 5;

/** Lines looked at between two looks at the clock. */
const BATCH = 32;

export async function forEachLine(text: string, work: (line: string) => void): Promise<void> {
  let deadline = performance.now() + BUDGET_MS;
  let count = 0;
  for (const line of lines(text)) {
    work(line);
    count += 1;
    if (count % BATCH === 0 && performance.now() > deadline) {
      await nextTask();
      deadline = performance.now() + BUDGET_MS;
    }
  }
}

/** The lines that hold something, one at a time: a journal in one list would be a long step. */
function* lines(text: string): Generator<string> {
  let start = 0;
  while (start < text.length) {
    const end = text.indexOf('\n', start);
    const stop = end < 0 ? text.length : end;
    if (stop > start) {
      yield text.slice(start, stop);
    }
    start = stop + 1;
  }
}

/** A message instead of a timer: timers are slowed down where the page is in the background. */
function nextTask(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
