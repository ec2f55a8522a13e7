import { describe, expect, it } from 'vitest';

import { containerSpec } from '../src/index.ts';

const accepts = (image: string): boolean => containerSpec.safeParse({ image }).success;
const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('image references', () => {
  it.each([
    'nginx',
    'nginx:1.25',
    'library/nginx',
    'registry:5000/nginx',
    '10.77.0.5:5000/team/app_name:v1.2-rc.3',
    `ghcr.io/owner/app@${DIGEST}`,
    `nginx:1@${DIGEST}`,
    'localhost/nginx',
    '[::1]:5000/nginx',
  ])('%s', (image) => {
    expect(accepts(image)).toBe(true);
  });

  it.each([
    '',
    'UPPER',
    'team/UPPER:tag',
    'nginx:',
    'nginx:bad tag',
    '/nginx',
    'nginx@sha256:12',
    'a//b',
    'nginx:1:2',
  ])('%j is refused', (image) => {
    expect(accepts(image)).toBe(false);
  });
});
