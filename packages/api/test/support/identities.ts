/** Clusters with certificates, and servers and calls to use them. */
import type { NodeRole } from '@swarmd/model';
import { createKeyAndCsr, createRootCa, signNodeCertificate, type RootCa } from '@swarmd/pki';

import type { ServerTls } from '../../src/index.ts';

export function createCluster(clusterId: string): {
  root: RootCa;
  member: (nodeId: string, role: NodeRole) => ServerTls;
} {
  const root = createRootCa({ now: Date.now() });
  const member = (nodeId: string, role: NodeRole): ServerTls => {
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificatePem = signNodeCertificate({
      caCert: root.certificatePem,
      caKey: root.keyPem,
      csrPem,
      nodeId,
      clusterId,
      role,
      expiryMs: 3_600_000,
      now: Date.now(),
    });
    return { keyPem, certificatePem, caPem: root.certificatePem, clusterId };
  };
  return { root, member };
}

/** The implementation of one service with only what the test needs; the rest is an error to call. */
export function partial<T extends object>(methods: Partial<T>): T {
  return new Proxy(methods as T, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      (() => Promise.reject(new Error(`the test has no ${String(name)}`))),
  });
}

/** Resolves when `condition` holds; fails after 30 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
