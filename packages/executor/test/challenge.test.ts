import { describe, expect, it } from 'vitest';

import { parseChallenge, tokenUrl } from '../src/registry/challenge.ts';

const ask = (header: string): string | undefined => {
  const challenge = parseChallenge(header);
  return challenge === undefined ? undefined : tokenUrl(challenge, 'library/app');
};

describe('challenges of registries', () => {
  it.each<[string, string | undefined]>([
    [
      'Bearer realm="https://auth.example/token",service="reg.example",scope="repository:a/b:pull,push"',
      'https://auth.example/token?service=reg.example&scope=repository%3Aa%2Fb%3Apull%2Cpush',
    ],
    [
      'bearer realm=https://a.example/t',
      'https://a.example/t?scope=repository%3Alibrary%2Fapp%3Apull',
    ],
    [
      'Bearer realm="https://a.example/t?x=\\"1\\""',
      'https://a.example/t?x=%221%22&scope=repository%3Alibrary%2Fapp%3Apull',
    ],
    ['Basic realm="x"', undefined],
    ['Bearer', undefined],
    ['Bearer realm="not a url"', undefined],
    ['', undefined],
  ])('%s asks for a token at %s', (header, url) => {
    expect(ask(header)).toBe(url);
  });
});
