/** The user's own file of credentials, and what Docker's tools keep. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fileCredentials } from '../src/credentials.ts';

const ANN = { username: 'ann', password: 'pass', identityToken: '' };

describe('credentials of a user', () => {
  let home: string;
  let path: string | undefined;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'swarmctl-home-'));
    path = process.env['PATH'];
  });
  afterEach(() => {
    process.env['PATH'] = path;
    rmSync(home, { recursive: true, force: true });
  });

  it('are in a file that nobody else reads, until they are forgotten', () => {
    const credentials = fileCredentials({ HOME: home });
    const file = credentials.store('reg:5000', ANN);
    credentials.store('other', { ...ANN, username: 'bob' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(credentials.find('reg:5000')).toEqual(ANN);
    expect(credentials.erase('reg:5000')).toBe(true);
    expect(credentials.erase('reg:5000')).toBe(false);
    expect(credentials.find('reg:5000')).toBeUndefined();
    expect(credentials.find('other')?.username).toBe('bob');
  });

  it('are Docker’s where we have none, from its file and its helpers', () => {
    mkdirSync(join(home, '.docker'));
    const config = {
      auths: { 'https://index.docker.io/v1/': { auth: 'YW5uOnBhc3M=' } },
      credHelpers: { 'helped:1': 'test', 'token:1': 'test' },
    };
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify(config));
    const helper = join(home, 'docker-credential-test');
    const answer = String.raw`{"ServerURL":"%s","Username":"%s","Secret":"S3CRET"}`;
    const user = '$([ "$host" = token:1 ] && echo "<token>" || echo carol)';
    writeFileSync(helper, `#!/bin/sh\nread host\nprintf '${answer}' "$host" "${user}"\n`);
    chmodSync(helper, 0o755);
    process.env['PATH'] = `${home}:${path}`;
    const { find } = fileCredentials({ HOME: home });
    expect(find('docker.io')).toEqual(ANN);
    expect(find('helped:1')).toEqual({ ...ANN, username: 'carol', password: 'S3CRET' });
    expect(find('token:1')).toEqual({ username: '', password: '', identityToken: 'S3CRET' });
    expect(find('unknown')).toBeUndefined();
  });
});
