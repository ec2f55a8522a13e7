/** How a machine that knows nothing but a join token gets the cluster's root certificate. */
import type { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

import { abortReason, SwarmError } from '@swarmd/base';

import { caDigest, parseJoinToken } from './token.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Leaf, root, and room for a rotation's intermediate. */
const CHAIN_MAX = 4;

/**
 * Connects without trust, takes the root from the chain the server presents, and believes it because
 * the token names its digest. The server must hold a certificate signed by that root.
 * @returns the root, PEM
 * @throws SwarmError `invalid-argument` (no token), `unavailable` (nobody answers), `unauthenticated`
 * (someone else answers)
 */
export async function fetchRootCa(options: {
  /** host:port of a manager. */
  readonly address: string;
  readonly token: string;
  readonly signal: AbortSignal;
}): Promise<string> {
  const { address, signal } = options;
  const wanted = parseJoinToken(options.token).caDigest;
  const chain = await presentedChain(address, signal);
  const root = chain.find((certificate) => caDigest(certificate) === wanted);
  if (root === undefined || !chain[0]?.verify(root.publicKey)) {
    throw new SwarmError(
      'unauthenticated',
      `${address} is not a manager of the cluster this token is for: someone else answers there, or the cluster's CA was replaced; get a new token on a manager and check the address`,
    );
  }
  return root.toString();
}

function presentedChain(address: string, signal: AbortSignal): Promise<X509Certificate[]> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortReason(signal));
      return;
    }
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      settle();
    };
    const fail = (why: string, cause?: unknown): void => {
      const message = `no manager answers at ${address}: ${why}`;
      end(() => reject(new SwarmError('unavailable', message, { cause })));
    };
    const onAbort = (): void => end(() => reject(abortReason(signal)));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => fail(`no answer in ${CONNECT_TIMEOUT_MS} ms`));
    socket.on('error', (error) => fail(error.message, error));
    socket.on('close', () => fail('the connection was closed'));
    socket.on('secureConnect', () => {
      const chain = chainOf(socket);
      end(() => resolve(chain));
    });
  });
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < CHAIN_MAX) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

function parseAddress(address: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new SwarmError('invalid-argument', `"${address}" is no address; write host:port`);
  }
  return { host, port };
}
