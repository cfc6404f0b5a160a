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
import { build, transform } from 'esbuild';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const OUTPUT = fileURLToPath(new URL('../jupyter_green/inline/panel.js', import.meta.url));

const { values } = parseArgs({ options: { metafile: { type: 'string' } } });

/** Style sheets as text, which the bundler by itself leaves as it is. */
const styles = {
  name: 'styles',
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, 'utf8'), {
        loader: 'css',
        minify: true
      });
      return { contents: code, loader: 'text' };
    });
  }
};

const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: ['src/inline/index.ts'],
  outfile: OUTPUT,
  bundle: true,
  format: 'esm',
  minify: true,
  target: 'es2022',
  // Of the view and of uPlot: neither names them in a string.
  mangleProps: /^_[a-z]/,
  plugins: [styles],
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
