/**
 * Builds the panel for cell outputs: one module, with its styles, into the Python package.
 *
 *     node build-inline.mjs                    prints its size
 *     node build-inline.mjs --metafile FILE    writes, too, what it is made of
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../jupyter_green/inline/panel.js', import.meta.url));

const { values } = parseArgs({ options: { metafile: { type: 'string' } } });

const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: ['src/inline/index.ts'],
  outfile: OUTPUT,
  bundle: true,
  format: 'esm',
  minify: true,
  target: 'es2022',
  loader: { '.css': 'text' },
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning'
});

if (values.metafile) {
  writeFileSync(values.metafile, JSON.stringify(metafile));
}
const bytes = readFileSync(OUTPUT);
const kb = size => (size / 1000).toFixed(1);
console.log(
  `inline/panel.js: ${kb(bytes.length)} kB, ${kb(gzipSync(bytes).length)} kB gzipped`
);
