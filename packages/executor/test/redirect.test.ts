import { describe, expect, it } from 'vitest';

import { redirectTarget } from '../src/registry/http.ts';

describe('a redirect of a registry', () => {
  it.each([
    ['https://a/v2/', 'https://b/x?sig=1', 'https://b/x?sig=1'],
    ['https://a/v2/', '/elsewhere', 'https://a/elsewhere'],
    ['http://a/v2/', 'http://b/x', 'http://b/x'],
    ['http://a/v2/', 'https://b/x', 'https://b/x'],
  ])('from %s to %s is followed', (from, location, to) => {
    expect(redirectTarget(from, location).href).toBe(to);
  });

  it.each([
    ['https://a/v2/', 'http://b/x', /not protected by TLS/],
    ['https://a/v2/', 'file:///etc/shadow', /not protected/],
    ['http://a/v2/', 'file:///etc/shadow', /not protected/],
    ['https://a/v2/', 'http://[', /no address/],
  ])('from %s to %s is refused', (from, location, message) => {
    expect(() => redirectTarget(from, location)).toThrow(message);
  });
});
