import { describe, expect, it } from 'vitest';

import { noSuchImage } from '../src/image/no-such-image.ts';
import { parseReference } from '../src/image/reference.ts';

const [A, B] = ['a', 'b'].map((digit) => `docker.io/library/nginx@sha256:${digit.repeat(64)}`);

describe('an image that is not there', () => {
  it.each<[string, string[], string]>([
    ['nginx:1', [], 'there is no image docker.io/library/nginx:1 on this node'],
    [
      'nginx:1',
      [B!, A!, 'docker.io/library/nginxes:1', 'docker.io/library/nginx:2', 'other.test/nginx:1'],
      `there is no image docker.io/library/nginx:1 on this node; of that repository it has, by their whole names: docker.io/library/nginx:2, ${A}, ${B} (services pull by digest)`,
    ],
    [
      'nginx',
      Array.from({ length: 7 }, (_, i) => `docker.io/library/nginx:${i}`),
      'there is no image docker.io/library/nginx:latest on this node; of that repository it has, by their whole names: docker.io/library/nginx:0, docker.io/library/nginx:1, docker.io/library/nginx:2, docker.io/library/nginx:3, docker.io/library/nginx:4 and 2 more (services pull by digest)',
    ],
  ])('%s beside %j', (name, present, message) => {
    expect(noSuchImage(parseReference(name), present)).toMatchObject({
      code: 'not-found',
      message,
    });
  });
});
