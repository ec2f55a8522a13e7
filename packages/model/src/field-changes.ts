/**
 * What is different in two specs, field by field, as people are told of it. In the order of the fields, of `after` first. What is not set and what is empty are the same here.
 * Bytes are told by their number only: they may be secret.
 */
import type { FieldChange } from './preview.ts';

export function fieldChanges(before: unknown, after: unknown): FieldChange[] {
  const old = new Map(leaves(before, ''));
  const now = new Map(leaves(after, ''));
  return [...new Set([...now.keys(), ...old.keys()])]
    .filter((path) => old.get(path) !== now.get(path))
    .map((path) => {
      const [from, to] = [old.get(path), now.get(path)];
      return {
        path,
        ...(from === undefined ? {} : { before: from }),
        ...(to === undefined ? {} : { after: to }),
      };
    });
}

function leaves(value: unknown, path: string): [string, string][] {
  if (value === undefined || value === null || value === '') return [];
  if (value instanceof Uint8Array) return [[path, `"${value.byteLength} bytes"`]];
  if (Array.isArray(value)) {
    return value.flatMap((item, at) => leaves(item, `${path}[${at}]`));
  }
  if (typeof value !== 'object') return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, item]) =>
    leaves(item, path === '' ? key : `${path}.${key}`),
  );
}
