/**
 * HTTP requests to registries. Not fetch: it cannot trust another certificate authority for one
 * registry, follows redirects with credentials and without a bound, and decompresses by itself.
 */
import { once } from 'node:events';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';

import { abortReason, SwarmError } from '@swarmd/base';

import { REDIRECTS_MAX, REGISTRY_IDLE_SOCKET_MS, RESPONSE_HEADERS_MAX_BYTES } from '../limits.ts';

export interface HttpRequest {
  readonly url: string;
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream can only be sent once: its answer must not be a redirect. */
  readonly body?: string | Uint8Array | Readable;
  /** PEM, trusted instead of the system's authorities; undefined: those. */
  readonly ca?: string | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** To be read to its end or destroyed. */
  readonly body: IncomingMessage;
  /** What answered, after redirects. */
  readonly url: string;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const AGENT = { keepAlive: true, timeout: REGISTRY_IDLE_SOCKET_MS } as const;
const plain = new HttpAgent(AGENT);
const secure = new Map<string | undefined, HttpsAgent>();

/** Connections are reused per authority: one verified by another must not be. */
function agentOf(ca: string | undefined): HttpsAgent {
  let agent = secure.get(ca);
  if (agent === undefined) {
    agent = new HttpsAgent({ ...AGENT, ...(ca === undefined ? {} : { ca }) });
    secure.set(ca, agent);
  }
  return agent;
}

/**
 * Sends, and follows redirects: credentials stay with the origin they were meant for, and what began
 * with TLS does not go on without.
 * @throws the socket's error; SwarmError `failed-precondition` for redirects that are refused.
 */
export async function send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  let { url, headers = {} } = request;
  for (let redirects = 0; ; redirects += 1) {
    const body = await sendOnce({ ...request, url, headers }, signal);
    const status = body.statusCode ?? 0;
    const { location } = body.headers;
    const isFollowed =
      REDIRECTS.has(status) &&
      location !== undefined &&
      ['GET', 'HEAD'].includes(request.method ?? 'GET');
    if (!isFollowed) return { status, headers: body.headers, body, url };
    body.destroy();
    const next = redirectTarget(url, location);
    if (redirects >= REDIRECTS_MAX) {
      throw new SwarmError('failed-precondition', `it redirects more than ${REDIRECTS_MAX} times`);
    }
    if (next.origin !== new URL(url).origin) headers = withoutCredentials(headers);
    url = next.href;
  }
}

/** @throws SwarmError `failed-precondition` when the way there is weaker than the way so far. */
export function redirectTarget(from: string, location: string): URL {
  if (!URL.canParse(location, from)) {
    throw new SwarmError('failed-precondition', 'it redirects to what is no address');
  }
  const next = new URL(location, from);
  const isWeaker = new URL(from).protocol === 'https:' && next.protocol !== 'https:';
  if (isWeaker || !['http:', 'https:'].includes(next.protocol)) {
    throw new SwarmError(
      'failed-precondition',
      `it redirects to ${next.protocol}//${next.host}, which is not protected by TLS`,
    );
  }
  return next;
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  );
}

async function sendOnce(request: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
  if (signal.aborted) throw abortReason(signal);
  const { url, method = 'GET', headers = {}, body, ca } = request;
  const isSecure = url.startsWith('https:');
  const options = {
    method,
    headers: { 'user-agent': 'swarmd', ...lengthOf(body), ...headers },
    signal,
    maxHeaderSize: RESPONSE_HEADERS_MAX_BYTES,
  };
  const sent = isSecure
    ? httpsRequest(url, { ...options, agent: agentOf(ca) })
    : httpRequest(url, { ...options, agent: plain });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) sent.end(body);
  else {
    // Its failure is the request's: `answered` reports it.
    body.once('error', (error) => sent.destroy(error));
    body.pipe(sent);
  }
  const [response] = await answered;
  return response;
}

function lengthOf(body: HttpRequest['body']): Record<string, string> {
  if (typeof body === 'string') return { 'content-length': `${Buffer.byteLength(body)}` };
  if (body instanceof Uint8Array) return { 'content-length': `${body.length}` };
  return {};
}
