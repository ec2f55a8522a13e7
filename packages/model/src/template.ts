/**
 * The part of Go's template language that task templates use: `{{.Node.Hostname}}`,
 * `{{index .Service.Labels "key"}}`, `{{join "-" .Service.Name .Task.Slot}}`, comments, and the
 * trimming of `{{-` and `-}}`. What is not understood is an error, never left as it is; so is a label
 * that does not exist (Swarm's `missingkey=error`).
 */

/** Fields by name, e.g. { Service: { ID: "x" } }. */
export interface TemplateFields {
  readonly [name: string]: string | TemplateFields;
}

export interface TemplateScope {
  readonly fields: TemplateFields;
  /** What may be called besides `join` and `index`. @returns undefined for "there is no such thing". */
  readonly functions: Readonly<Record<string, (argument: string) => string | undefined>>;
}

export type Expanded =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'error'; readonly message: string };

type Value = string | TemplateFields;

class TemplateFault extends Error {}

const ACTION = /\{\{(- )?((?:[^"`}]|\}(?!\})|"(?:[^"\\]|\\.)*"|`[^`]*`)*?)( -)?\}\}/g;
const TOKEN = /\s*(?:(\.[A-Za-z0-9_.]+)|([a-z]+)|"((?:[^"\\]|\\.)*)"|`([^`]*)`|(-?\d+)|(\S))/y;

/** True when there is something to expand in the text. */
export function isTemplate(text: string): boolean {
  return text.includes('{{');
}

export function expandTemplate(text: string, scope: TemplateScope): Expanded {
  if (!isTemplate(text)) return { kind: 'text', text };
  try {
    return { kind: 'text', text: expand(text, scope) };
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    return { kind: 'error', message: error.message };
  }
}

function expand(text: string, scope: TemplateScope): string {
  let result = '';
  let at = 0;
  let trimNext = false;
  for (const match of text.matchAll(ACTION)) {
    const [whole, trimBefore, action = '', trimAfter] = match;
    const before = plain(text.slice(at, match.index), trimNext);
    result += trimBefore === undefined ? before : before.trimEnd();
    if (!action.trimStart().startsWith('/*')) result += print(evaluate(action, scope));
    trimNext = trimAfter !== undefined;
    at = match.index + whole.length;
  }
  return result + plain(text.slice(at), trimNext);
}

function plain(text: string, trimmed: boolean): string {
  if (text.includes('{{')) throw new TemplateFault(`"${excerpt(text)}": "{{" without its "}}"`);
  return trimmed ? text.trimStart() : text;
}

function evaluate(action: string, scope: TemplateScope): Value {
  const fault = (why: string): TemplateFault => new TemplateFault(`"{{${action}}}": ${why}`);
  const words: { readonly call?: string; readonly value?: Value }[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < action.trimEnd().length) {
    const [, path, name, quoted, raw, digits, other] = TOKEN.exec(action) ?? [];
    if (path !== undefined) words.push({ value: field(path, scope, fault) });
    else if (quoted !== undefined) words.push({ value: quoted.replaceAll(/\\(.)/g, '$1') });
    else if (raw !== undefined || digits !== undefined) words.push({ value: raw ?? digits ?? '' });
    else if (name !== undefined) words.push({ call: name });
    else throw fault(`"${other}" is not understood here`);
  }
  const [first, ...rest] = words;
  if (first === undefined) throw fault('it is empty');
  if (first.call === undefined) {
    if (rest.length > 0) throw fault('a value is followed by more');
    return first.value ?? '';
  }
  const values = rest.map(({ value }) => {
    if (value === undefined) throw fault('a function is not a value');
    return value;
  });
  return call(first.call, values, { scope, fault });
}

function field(path: string, scope: TemplateScope, fault: (why: string) => Error): Value {
  let value: Value = scope.fields;
  for (const name of path.split('.').slice(1)) {
    const next: Value | undefined =
      typeof value === 'string' || !Object.hasOwn(value, name) ? undefined : value[name];
    if (next === undefined) throw fault(`there is no ${path}`);
    value = next;
  }
  return value;
}

function call(
  name: string,
  values: readonly Value[],
  context: { scope: TemplateScope; fault: (why: string) => Error },
): Value {
  const { scope, fault } = context;
  const [first, second] = values;
  if (name === 'join') {
    if (first === undefined) throw fault('join needs a separator and texts');
    return values.slice(1).map(print).join(print(first));
  }
  if (name === 'index') {
    if (typeof first !== 'object' || typeof second !== 'string' || values.length !== 2) {
      throw fault('index needs labels and a key');
    }
    const value = Object.hasOwn(first, second) ? first[second] : undefined;
    if (value === undefined) throw fault(`there is no "${second}"`);
    return value;
  }
  if (!Object.hasOwn(scope.functions, name)) throw fault(`"${name}" is no function`);
  if (typeof first !== 'string' || values.length !== 1) throw fault(`${name} needs one name`);
  const value = scope.functions[name]?.(first);
  if (value === undefined) throw fault(`there is no ${name} "${first}"`);
  return value;
}

/** Labels as a whole read "map[a:1 b:2]", as Go prints them. */
function print(value: Value): string {
  if (typeof value === 'string') return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, item]) => `${key}:${print(item)}`).join(' ')}]`;
}

const EXCERPT_CHARS = 40;

function excerpt(text: string): string {
  const start = text.slice(text.indexOf('{{'));
  return start.length > EXCERPT_CHARS ? `${start.slice(0, EXCERPT_CHARS)}…` : start;
}
