import { describe, expect, it } from 'vitest';

import { parseChallenge, tokenQuestion } from '../src/registry/challenge.ts';
import { tokenRequest } from '../src/registry/token.ts';

const ask = (header: string): string | undefined => {
  const challenge = parseChallenge(header);
  const question = challenge && tokenQuestion(challenge, 'library/app');
  return question && tokenRequest(question, undefined, { isSecure: true, name: 'registry' }).url;
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

  it('sends credentials only where TLS protects them, if it protects the registry', () => {
    const question = {
      realm: 'http://auth.example/token',
      service: '',
      scope: 'repository:a:pull',
    };
    const credentials = { username: 'ann', password: 'pass', identityToken: '' };
    const request = (isSecure: boolean) =>
      tokenRequest(question, credentials, { isSecure, name: 'registry a' });
    expect(() => request(true)).toThrow('not protected by TLS');
    expect(request(false).headers).toEqual({ authorization: 'Basic YW5uOnBhc3M=' });
  });

  it('trades an identity token for a bearer token, as OAuth2 has it', () => {
    const question = { realm: 'https://a.example/t', service: 'reg', scope: 'repository:a:pull' };
    const credentials = { username: '', password: '', identityToken: 'REFRESH' };
    const request = tokenRequest(question, credentials, { isSecure: true, name: 'registry a' });
    expect([request.method, request.url]).toEqual(['POST', 'https://a.example/t']);
    expect(request.body).toContain('grant_type=refresh_token&refresh_token=REFRESH&service=reg');
  });
});
