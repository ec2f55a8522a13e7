import { X509Certificate, createPrivateKey } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import {
  createKeyAndCsr,
  createRootCa,
  identityFromCertificate,
  identityFromSubject,
  renewalDelayMs,
  signNodeCertificate,
} from '../src/index.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 21, 12);
const root = createRootCa({ now: NOW });

function sign(changes: Partial<Parameters<typeof signNodeCertificate>[0]> = {}): string {
  return signNodeCertificate({
    caCert: root.certificatePem,
    caKey: root.keyPem,
    csrPem: createKeyAndCsr().csrPem,
    nodeId: 'n0de',
    clusterId: 'c1uster',
    role: 'manager',
    expiryMs: 90 * DAY,
    now: NOW,
    ...changes,
  });
}

describe('a node certificate', () => {
  it('names node, role and cluster, and both ends of TLS', () => {
    const certificate = new X509Certificate(sign());
    expect(certificate.subject).toBe('O=c1uster\nOU=swarm-manager\nCN=n0de');
    expect(certificate.subjectAltName).toBe('DNS:n0de, DNS:swarm-manager');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).toBe(false);
    expect(identityFromCertificate(certificate.toString())).toEqual({
      nodeId: 'n0de',
      role: 'manager',
      clusterId: 'c1uster',
    });
  });

  it('descends from its root and from no other', () => {
    const certificate = new X509Certificate(sign());
    const authority = new X509Certificate(root.certificatePem);
    const stranger = new X509Certificate(createRootCa({ now: NOW }).certificatePem);
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.verify(stranger.publicKey)).toBe(false);
    expect(authority.ca).toBe(true);
    expect(authority.verify(authority.publicKey)).toBe(true);
  });

  it('belongs to the key of the request', () => {
    const { keyPem, csrPem } = createKeyAndCsr();
    const certificate = new X509Certificate(sign({ csrPem }));
    expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
  });

  it('is valid from an hour ago until its expiry', () => {
    const certificate = new X509Certificate(sign({ expiryMs: 2 * HOUR }));
    expect(certificate.validFromDate.getTime()).toBe(NOW - HOUR);
    expect(certificate.validToDate.getTime()).toBe(NOW + 2 * HOUR);
  });

  it('does not outlive its root, whose end lies beyond 2049', () => {
    const late = createRootCa({ now: Date.UTC(2031, 0) });
    const end = new X509Certificate(late.certificatePem).validToDate;
    const certificate = sign({
      caCert: late.certificatePem,
      caKey: late.keyPem,
      expiryMs: 30 * 365 * DAY,
    });
    expect(end.getUTCFullYear()).toBeGreaterThan(2049);
    expect(new X509Certificate(certificate).validToDate).toEqual(end);
  });
});

describe('a signing request', () => {
  const { csrPem } = createKeyAndCsr();
  const der = Buffer.from(csrPem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const toPem = (bytes: Buffer): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;

  it('is refused with any bit changed, cut off, or followed by something', () => {
    for (let at = 0; at < der.length; at += 1) {
      const changed = Buffer.from(der);
      changed.writeUInt8(der.readUInt8(at) ^ 0x04, at);
      expect(() => sign({ csrPem: toPem(changed) }), `byte ${at}`).toThrow(/request|PEM/);
      expect(() => sign({ csrPem: toPem(der.subarray(0, at)) })).toThrow(/request|PEM/);
    }
    expect(() => sign({ csrPem: toPem(Buffer.concat([der, Buffer.from([5, 0])])) })).toThrow(
      /after its end/,
    );
  });

  it.each(['', 'text', root.certificatePem])('is refused when it is %j', (csrPem) => {
    expect(() => sign({ csrPem })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }) as Error,
    );
  });
});

it('refuses a CA key that is not the CA certificate’s', () => {
  expect(() => sign({ caKey: createKeyAndCsr().keyPem })).toThrow(/do not belong together/);
});

it.each([
  { CN: 'a', OU: 'swarm-ca', O: 'c' },
  { CN: 'a', OU: ['swarm-manager', 'swarm-worker'], O: 'c' },
  { CN: ['a', 'b'], OU: 'swarm-worker', O: 'c' },
  { CN: '', OU: 'swarm-worker', O: 'c' },
  { OU: 'swarm-worker', O: 'c' },
  { CN: 'a', OU: 'swarm-worker' },
])('sees no node in the subject %j', (subject) => {
  expect(identityFromSubject(subject)).toBeUndefined();
});

it('renews between half and four fifths of a certificate’s life', () => {
  const certificatePem = sign({ expiryMs: 100 * HOUR });
  const at = (chance: number, now: number): number =>
    renewalDelayMs({ certificatePem, now, random: { next: () => chance } });
  expect(at(0, NOW)).toBe(50 * HOUR);
  expect(at(1, NOW)).toBe(80 * HOUR);
  expect(at(0, NOW + 20 * HOUR)).toBe(30 * HOUR);
  expect(at(1, NOW + 90 * HOUR)).toBe(0);
});
