/**
 * Runs the tests of the labextension: each .test.ts below src is bundled, and run by Node's own
 * runner.
 *
 *     node test.mjs                 all
 *     node test.mjs session/fold    those whose path holds a text
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const HERE = fileURLToPath(new URL('.', import.meta.url));

function below(directory, ending) {
  const paths = readdirSync(directory, { recursive: true }).map(path => join(directory, path));
  return paths.filter(path => path.endsWith(ending)).sort();
}

function wanted() {
  const texts = process.argv.slice(2);
  const all = below(join(HERE, 'src'), '.test.ts');
  return all.filter(path => !texts.length || texts.some(text => path.includes(text)));
}

async function bundle(tests, directory) {
  await build({
    absWorkingDir: HERE,
    entryPoints: tests,
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    loader: { '.css': 'text', '.svg': 'text' },
    logLevel: 'warning'
  });
  return below(directory, '.test.mjs');
}

async function main() {
  const tests = wanted();
  if (!tests.length) {
    console.error(`no test is named like that: ${process.argv.slice(2).join(' ')}`);
    return 1;
  }
  const directory = mkdtempSync(join(tmpdir(), 'jupyter-green-tests-'));
  try {
    const bundles = await bundle(tests, directory);
    const options = ['--enable-source-maps', '--test', ...bundles];
    return spawnSync(process.execPath, options, { cwd: HERE, stdio: 'inherit' }).status ?? 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

process.exitCode = await main();
