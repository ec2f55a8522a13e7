import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import protobuf from 'protobufjs';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../../proto/swarm/v1/', import.meta.url));

function undocumented(item: protobuf.ReflectionObject): string[] {
  const parts: protobuf.ReflectionObject[] = [];
  const missing: string[] = [];
  if (item instanceof protobuf.Namespace) parts.push(...item.nestedArray);
  if (item instanceof protobuf.Type) parts.push(...item.fieldsArray);
  if (item instanceof protobuf.Service) parts.push(...item.methodsArray);
  if (item instanceof protobuf.Enum) {
    const values = Object.keys(item.values).filter((name) => !name.endsWith('_UNSPECIFIED'));
    missing.push(...values.filter((name) => !item.comments[name]));
  }
  const isPackage = item.constructor === protobuf.Namespace || item instanceof protobuf.Root;
  if (!isPackage && !item.comment) missing.push(item.fullName);
  return [...missing, ...parts.flatMap((part) => undocumented(part))];
}

it.each(readdirSync(folder))('%s says what each of its parts is', (file) => {
  const source = readFileSync(`${folder}${file}`, 'utf8');
  const { root } = protobuf.parse(source, { alternateCommentMode: true });
  expect(undocumented(root)).toEqual([]);
});
