/** Takes zlib's bytes (RFC 1950) apart again, off the main thread. Rejects what is damaged. */
export async function inflate(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<string> {
  const inflated = new Blob([...parts])
    .stream()
    .pipeThrough(new DecompressionStream('deflate'));
  return new Response(inflated).text();
}
