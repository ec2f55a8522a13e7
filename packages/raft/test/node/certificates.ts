/** A throw-away CA for tests, made with the openssl program. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { RaftTls } from '../../src/node/types.ts';

const OPENSSL = 'openssl';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class TestCa implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'raft-ca-'));

  constructor() {
    this.#openssl(['req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.pem'], '/CN=ca');
  }

  /** Subject fields as certificates of managers have them, unless a test wants otherwise. */
  issue(subject: { cluster: string; node: string; unit?: string }): RaftTls {
    const { cluster, node, unit = 'swarm-manager' } = subject;
    const name = `/O=${cluster}/OU=${unit}/CN=${node}`;
    this.#openssl(['req', ...NEW_KEY, '-keyout', 'node.key', '-out', 'node.csr'], name);
    this.#openssl(
      [
        'x509',
        '-req',
        '-in',
        'node.csr',
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
      ].concat(['-out', 'node.pem', '-days', '2']),
    );
    const read = (file: string): string => readFileSync(join(this.#directory, file), 'utf8');
    return { certificatePem: read('node.pem'), keyPem: read('node.key'), caPem: read('ca.pem') };
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #openssl(args: readonly string[], subject?: string): void {
    // The system's own configuration may be missing or ask questions.
    writeFileSync(
      join(this.#directory, 'openssl.cnf'),
      '[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:true\n',
    );
    const named = subject === undefined ? [] : ['-subj', subject, '-config', 'openssl.cnf'];
    execFileSync(OPENSSL, [...args, ...named], { cwd: this.#directory, stdio: 'pipe' });
  }
}
