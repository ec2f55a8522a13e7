import { describe, expect, it } from 'vitest';

import { canonicalReference, parseReference, pinnedReference } from '../src/image/reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('image references', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['user/app', 'docker.io/user/app:latest'],
    ['index.docker.io/user/app:2', 'docker.io/user/app:2'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['10.0.0.5:5000/team/app:v1', '10.0.0.5:5000/team/app:v1'],
    ['[fd00::1]:5000/app', '[fd00::1]:5000/app:latest'],
    ['registry.example/a/b/c/d:x_Y-1.2', 'registry.example/a/b/c/d:x_Y-1.2'],
    [`nginx@${DIGEST}`, `docker.io/library/nginx@${DIGEST}`],
    [`r.example:443/app:1.0@${DIGEST}`, `r.example:443/app@${DIGEST}`],
    ['a__b/c--d/e.f', 'docker.io/a__b/c--d/e.f:latest'],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalReference(parseReference(text))).toBe(canonical);
  });

  it.each([
    ['nginx', 'nginx:latest'],
    ['nginx:1', 'nginx:1'],
    ['r.example:443/team/app', 'r.example:443/team/app:latest'],
  ])('%s with a digest begins with %s', (text, named) => {
    const pinned = pinnedReference(text, DIGEST);
    expect(pinned).toBe(`${named}@${DIGEST}`);
    expect(parseReference(pinned).digest).toBe(DIGEST);
  });

  it.each([
    '',
    ':tag',
    'Upper',
    'a b',
    'app:',
    'app:-x',
    `app:${'x'.repeat(129)}`,
    'app@sha256:12',
    `app@${DIGEST}@${DIGEST}`,
    'r.example:99x/app',
    '-bad.example/app',
    'r.example/',
    'a//b',
    'a/../b',
    'app/',
    `${'long/'.repeat(60)}x`,
  ])('"%s" is none', (text) => {
    expect(() => parseReference(text)).toThrow(/is not a valid reference/);
  });
});
