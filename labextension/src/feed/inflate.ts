/** A day of cells is a tenth of it; what is more is no journal. */
const MOST_BYTES = 64e6;

/**
 * Takes zlib's bytes (RFC 1950) apart again, off the main thread. Rejects what is damaged, and
 * what a page has no room for.
 */
export async function inflate(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<string> {
  const inflated = new Blob([...parts])
    .stream()
    .pipeThrough(new DecompressionStream('deflate'))
    .pipeThrough(atMost(MOST_BYTES));
  return new Response(inflated).text();
}

function atMost(most: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      bytes += chunk.length;
      if (bytes > most) {
        controller.error(new RangeError(`a message of more than ${most} bytes`));
      } else {
        controller.enqueue(chunk);
      }
    }
  });
}
