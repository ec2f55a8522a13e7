import { describe, expect, it } from 'vitest';

import { matches } from '../src/control/filter.ts';
import { isImageReference } from '../src/control/image-reference.ts';

describe('list filters', () => {
  const object = { id: 'abc1', name: 'web', labels: { tier: 'front', empty: '' } };
  it.each([
    [{}, true],
    [{ ids: [], names: [] }, true],
    [{ ids: ['abc1', 'other'] }, true],
    [{ ids: ['abc'] }, false],
    [{ idPrefixes: ['abc'] }, true],
    [{ names: ['we'] }, false],
    [{ names: ['web'], idPrefixes: ['x'] }, false],
    [{ labels: ['tier'] }, true],
    [{ labels: ['tier=front', 'empty='] }, true],
    [{ labels: ['tier=front', 'missing'] }, false],
    [{ labels: ['tier=back'] }, false],
    [{ labels: ['toString'] }, false],
  ])('%o: %s', (filter, expected) => {
    expect(matches(filter, object)).toBe(expected);
  });
});

describe('image references', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  it.each([
    'nginx',
    'nginx:1.27',
    'library/nginx',
    'localhost:5000/a/b_c/d-e:v1',
    'registry.example.com/x',
    `10.0.0.1:5000/x@${digest}`,
    `x:tag@${digest}`,
    'a__b',
  ])('accepts %s', (text) => expect(isImageReference(text)).toBe(true));
  it.each([
    '',
    'NGINX',
    'nginx:',
    'nginx:a b',
    '/nginx',
    'a//b',
    'x@sha256:12',
    'http://x/y',
    '-x',
    'a'.repeat(600),
  ])('refuses "%s"', (text) => expect(isImageReference(text)).toBe(false));
});
