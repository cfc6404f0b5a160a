/**
 * Writes src/session/vocabulary.ts from the published schema of the events:
 *
 *     node make-types.mjs            writes it
 *     node make-types.mjs --check    fails where it is not what the schema says
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { compile } from 'json-schema-to-typescript';
import prettier from 'prettier';

const SCHEMA = new URL('../jupyter_green/data/events.schema.json', import.meta.url);
const TARGET = new URL('src/session/vocabulary.ts', import.meta.url);

const BANNER = `/**
 * The vocabulary of events, and what an event may hold. Made by make-types.mjs from
 * jupyter_green/data/events.schema.json: change that, and run \`jlpm types\`.
 *
 * A journal leaves out what has its usual value. The types are those of events that have been
 * read: every field is there (see read.ts).
 */`;

/** What every event has, and every stamp: named once, because nearly all events repeat it. */
const SHARED = { STAMP: ['t', 'n', 'uj', 'error_uj'], EVENT: ['t', 'n'] };

const isObject = schema => schema?.type === 'object' && schema.properties;

/** The schema once defaults are filled in, in the dialect that the compiler knows. */
function filledIn(schema) {
  if (Array.isArray(schema)) return schema.map(filledIn);
  if (schema === null || typeof schema !== 'object') return schema;
  if (schema.prefixItems) return { tsType: '[number, number]' };
  const filled = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, filledIn(value)])
  );
  return isObject(schema) ? { ...filled, required: Object.keys(schema.properties) } : filled;
}

/** The type of a field in the short form that read.ts takes. */
function shortType(schema) {
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  if (schema.prefixItems) return 'lag';
  if (schema.anyOf) return `${shortType(schema.anyOf[0])}?`;
  if (schema.type === 'array') return `[${shortType(schema.items)}]`;
  if (schema.type === 'object') return `{${shortType(schema.additionalProperties)}}`;
  return 'maximum' in schema ? 'microjoules' : schema.type;
}

/** A required field is its type alone; any other also tells its default. */
function shortField(schema) {
  const type = shortType(schema);
  return JSON.stringify('default' in schema ? [type, schema.default] : [type]);
}

function shortFields(schema) {
  const properties = Object.entries(schema.properties).filter(([name]) => name !== 'kind');
  const names = properties.map(([name]) => name);
  const [constant, shared] = Object.entries(SHARED).find(([, fields]) =>
    fields.every(field => names.includes(field))
  ) ?? [null, []];
  const own = properties
    .filter(([name]) => !shared.includes(name))
    .map(([name, field]) => `${name}: ${shortField(field)}`);
  return `{ ${[...(constant ? [`...${constant}`] : []), ...own].join(', ')} }`;
}

function sharedFields([constant, names], stamped) {
  const fields = names.map(name => `${name}: ${shortField(stamped.properties[name])}`);
  return `const ${constant}: Fields = { ${fields.join(', ')} };`;
}

function tables(schema) {
  const types = Object.entries(schema.$defs);
  const kindOf = type => type.properties.kind?.enum[0];
  const rows = types.map(([name, type]) => [kindOf(type), name, shortFields(type)]);
  const events = rows.filter(([kind]) => kind).map(([kind, , row]) => `${kind}: ${row}`);
  const values = rows.filter(([kind]) => !kind).map(([, name, row]) => `${name}: ${row}`);
  const stamped = types.map(([, type]) => type).find(type => type.properties.error_uj);
  return `
/** The version of the journal's format that this vocabulary is of. */
export const FORMAT = '${schema['x-format']}';

/** By name the type of a field in short form and, where it may be left out, its default. */
export type Fields = Record<string, readonly [type: string, usual?: unknown]>;

${Object.entries(SHARED)
  .map(shared => sharedFields(shared, stamped))
  .join('\n')}

/** The fields of each kind of event. */
export const EVENTS: Record<string, Fields> = { ${events.join(',\n')} };

/** The fields of the values inside events. */
export const VALUES: Record<string, Fields> = { ${values.join(',\n')} };
`;
}

async function vocabulary() {
  const schema = JSON.parse(readFileSync(SCHEMA, 'utf8'));
  const types = await compile({ ...filledIn(schema), title: 'AnyEvent' }, 'AnyEvent', {
    additionalProperties: false,
    bannerComment: BANNER,
    format: false
  });
  const { prettier: style } = JSON.parse(
    readFileSync(new URL('package.json', import.meta.url), 'utf8')
  );
  return prettier.format(types + tables(schema), { ...style, parser: 'typescript' });
}

function check(made) {
  let there = '';
  try {
    there = readFileSync(TARGET, 'utf8');
  } catch {
    // A file that is not there differs from any.
  }
  if (there === made) return;
  console.error(
    'src/session/vocabulary.ts is not what jupyter_green/data/events.schema.json says: ' +
      'run `jlpm types` in labextension/, and commit what it writes.'
  );
  process.exitCode = 1;
}

const made = await vocabulary();
if (process.argv.includes('--check')) {
  check(made);
} else {
  writeFileSync(TARGET, made);
}
