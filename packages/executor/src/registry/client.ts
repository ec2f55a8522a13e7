/**
 * One repository of one registry, over HTTP (OCI distribution specification 1.1): manifests and
 * small blobs as bytes, and the address and headers for layers, which the unpacker fetches itself.
 * Digests are checked here for everything that is returned as bytes.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

import { errorMessage, SwarmError, withDeadline, type Clock } from '@swarmd/base';
import type { RegistryCredentials } from '@swarmd/model';

import { DOCUMENT_TYPES } from '../image/manifest.ts';
import {
  DOCUMENT_MAX_BYTES,
  REGISTRY_STALL_MS,
  TOKEN_RESPONSE_MAX_BYTES,
  UPLOAD_TIMEOUT_MS,
} from '../limits.ts';
import { parseChallenge, tokenQuestion, type TokenQuestion } from './challenge.ts';
import type { Endpoint } from './endpoint.ts';
import { send, type HttpRequest, type HttpResponse } from './http.ts';
import { basic, parseTokenResponse, tokenRequest } from './token.ts';

export interface RegistryOptions {
  readonly clock: Clock;
  readonly endpoint: Endpoint;
  readonly repository: string;
  readonly credentials: RegistryCredentials | undefined;
}

export interface RegistryDocument {
  readonly bytes: Uint8Array;
  /** "sha256:..." of the bytes. */
  readonly digest: string;
}

/** What a GET of one blob needs. */
export interface BlobRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string | undefined;
}

/** Below /v2/REPOSITORY, or an absolute address of an upload. */
type Question = Omit<HttpRequest, 'url' | 'ca'> & { readonly path: string };

export class RegistryClient {
  readonly #options: RegistryOptions;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#base = `${options.endpoint.base}/v2/${options.repository}`;
  }

  /** "registry 10.0.0.5:5000": how messages name it. */
  get name(): string {
    return `registry ${this.#options.endpoint.host}`;
  }

  /**
   * The manifest or index that `tagOrDigest` names.
   * @throws SwarmError `not-found`, `permission-denied`, `unavailable`, `data-loss`.
   */
  async document(tagOrDigest: string, signal: AbortSignal): Promise<RegistryDocument> {
    const bytes = await this.#bytes(
      { path: `/manifests/${tagOrDigest}`, headers: { accept: DOCUMENT_TYPES.join(', ') } },
      signal,
    );
    const digest = sha256(bytes);
    if (tagOrDigest.startsWith('sha256:') && digest !== tagOrDigest) {
      throw this.#wrongDigest(tagOrDigest, digest);
    }
    return { bytes, digest };
  }

  /** The digest a tag stands for now, without its manifest; undefined when the registry does not say. */
  async resolve(tag: string, signal: AbortSignal): Promise<string | undefined> {
    const path = `/manifests/${tag}`;
    const response = await this.request(
      { path, method: 'HEAD', headers: { accept: DOCUMENT_TYPES.join(', ') } },
      signal,
    );
    response.body.resume();
    this.check(response, path);
    const digest = response.headers['docker-content-digest'];
    return typeof digest === 'string' ? digest : undefined;
  }

  /** A small blob (an image configuration), checked against its digest. */
  async blob(digest: string, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#bytes({ path: `/blobs/${digest}` }, signal);
    const actual = sha256(bytes);
    if (actual !== digest) throw this.#wrongDigest(digest, actual);
    return bytes;
  }

  /** How to GET a layer now. */
  blobRequest(digest: string): BlobRequest {
    return {
      url: `${this.#base}/blobs/${digest}`,
      headers: this.#authorization === undefined ? {} : { authorization: this.#authorization },
      ca: this.#options.endpoint.ca,
    };
  }

  /** To be called when a blob was refused with 401: the next `blobRequest` carries a new token. */
  async reauthorize(signal: AbortSignal): Promise<void> {
    this.#authorization = undefined;
    const response = await this.request({ path: '/tags/list?n=1', method: 'HEAD' }, signal);
    response.body.resume();
  }

  /** @throws SwarmError `permission-denied` when the registry does not know the credentials. */
  async checkAuth(signal: AbortSignal): Promise<void> {
    const { endpoint, credentials } = this.#options;
    const response = await this.request({ path: `${endpoint.base}/v2/` }, signal);
    response.body.resume();
    if (response.status >= 200 && response.status < 300) return;
    const said = `${this.name} answered HTTP ${response.status}`;
    if (response.status === 401 || response.status === 403) {
      throw new SwarmError(
        'permission-denied',
        `${said}: it does not know these credentials${whoAsked(endpoint.host, credentials)}`,
      );
    }
    throw new SwarmError('unavailable', `${said}; is it a registry?`);
  }

  /**
   * Sends, and once more with credentials when the registry asks for some. The answer may be any.
   * @throws SwarmError `unavailable`, `permission-denied`, `failed-precondition`.
   */
  async request(question: Question, signal: AbortSignal): Promise<HttpResponse> {
    const { path, headers, ...rest } = question;
    const url = URL.canParse(path) ? path : `${this.#base}${path}`;
    // An upload may be sent elsewhere; who we are stays here.
    const isOwn = new URL(url).origin === new URL(this.#base).origin;
    const ask = (): Promise<HttpResponse> =>
      this.#send(
        {
          ...rest,
          url,
          headers: {
            ...headers,
            ...(this.#authorization === undefined || !isOwn
              ? {}
              : { authorization: this.#authorization }),
          },
        },
        signal,
      );
    const first = await ask();
    // A stream has been sent by now, and cannot be sent again.
    if (question.body instanceof Readable) return first;
    if (first.status !== 401 || !isOwn || !(await this.#authorize(first, signal))) return first;
    first.body.resume();
    return ask();
  }

  /** @throws SwarmError unless the answer is a success. */
  check({ status }: HttpResponse, path: string): void {
    if (status >= 200 && status < 300) return;
    const { endpoint, repository, credentials } = this.#options;
    const image = `${endpoint.host}/${repository}`;
    const item = path.split('/').at(-1) ?? '';
    const said = `${this.name} answered HTTP ${status}`;
    if (status === 404) {
      throw new SwarmError(
        'not-found',
        `image ${image}: ${said}: it has no "${item}"; check the name and the tag`,
      );
    }
    if (status === 401 || status === 403) {
      throw new SwarmError(
        'permission-denied',
        `image ${image}: ${said}: access to "${item}" is not allowed${whoAsked(endpoint.host, credentials)}`,
      );
    }
    const code = status >= 500 || status === 429 ? 'unavailable' : 'internal';
    throw new SwarmError(code, `image ${image}: ${said} for "${item}"`);
  }

  /** @returns whether there is something new to try. */
  async #authorize(refused: HttpResponse, signal: AbortSignal): Promise<boolean> {
    const { credentials, repository } = this.#options;
    const challenge = parseChallenge(refused.headers['www-authenticate']);
    if (challenge === undefined) return false;
    const before = this.#authorization;
    const question = tokenQuestion(challenge, repository);
    if (question !== undefined) {
      this.#authorization = `Bearer ${await this.#token(question, signal)}`;
    } else if (challenge.scheme === 'basic' && credentials !== undefined) {
      this.#authorization = basic(credentials);
    }
    return this.#authorization !== before;
  }

  async #token(question: TokenQuestion, signal: AbortSignal): Promise<string> {
    const { credentials, endpoint, repository } = this.#options;
    const from = { isSecure: endpoint.base.startsWith('https:'), name: this.name };
    const request = tokenRequest(question, credentials, from);
    const response = await this.#send(request, signal);
    const { host } = new URL(request.url);
    if (response.status !== 200) {
      response.body.resume();
      throw new SwarmError(
        response.status >= 500 ? 'unavailable' : 'permission-denied',
        `${this.name}: its token service ${host} refused a token for ${repository} (HTTP ${response.status})${whoAsked(endpoint.host, credentials)}`,
      );
    }
    const token = parseTokenResponse(await this.body(response, TOKEN_RESPONSE_MAX_BYTES, signal));
    if (token !== undefined) return token;
    throw new SwarmError('unavailable', `${this.name}: its token service ${host} sent no token`);
  }

  async #send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { clock, endpoint } = this.#options;
    const isUpload = request.method === 'PUT';
    const timeoutMs = isUpload ? UPLOAD_TIMEOUT_MS : REGISTRY_STALL_MS;
    const deadline = { clock, timeoutMs, what: `asking ${this.name}`, signal };
    try {
      return await withDeadline(deadline, (signal) =>
        send({ ...request, ca: endpoint.ca }, signal),
      );
    } catch (error) {
      throw signal.aborted ? error : unreachableRegistry(this.name, error);
    }
  }

  async #bytes(question: Question, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.request(question, signal);
    if (response.status !== 200) response.body.resume();
    this.check(response, question.path);
    return this.body(response, DOCUMENT_MAX_BYTES, signal);
  }

  /** All of a small answer. @throws SwarmError `resource-exhausted`, `unavailable`. */
  async body(response: HttpResponse, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const timeoutMs = REGISTRY_STALL_MS;
    const what = `reading a document of ${this.name}`;
    const chunks: Uint8Array[] = [];
    let length = 0;
    const read = async (signal: AbortSignal): Promise<void> => {
      const stop = (): void => void response.body.destroy(new Error('it took too long'));
      signal.addEventListener('abort', stop, { once: true });
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        length += chunk.length;
        if (length > maxBytes) return;
        chunks.push(chunk);
      }
    };
    try {
      await withDeadline({ clock: this.#options.clock, timeoutMs, what, signal }, read);
    } catch (error) {
      throw signal.aborted ? error : unreachableRegistry(this.name, error);
    }
    if (length > maxBytes) {
      throw new SwarmError(
        'resource-exhausted',
        `${this.name} sent more than ${maxBytes} bytes for a document`,
      );
    }
    return Buffer.concat(chunks);
  }

  #wrongDigest(expected: string, actual: string): SwarmError {
    return new SwarmError(
      'data-loss',
      `${this.name} sent wrong bytes for ${this.#options.repository}: digest ${actual} instead of ${expected}`,
    );
  }
}

function whoAsked(host: string, credentials: RegistryCredentials | undefined): string {
  return credentials === undefined
    ? `; if it needs credentials, log in with: swarmctl registry login ${host}, and pass --with-registry-auth`
    : ` for ${credentials.username || 'this identity token'}`;
}

/** Certificate authorities, not addresses, are what is wrong then. */
const CERTIFICATE_ERROR = /CERT|SELF_SIGNED|UNABLE_TO_/;

/** Why a registry could not be asked, from what the request threw. */
export function unreachableRegistry(name: string, error: unknown): SwarmError {
  if (error instanceof SwarmError && error.code !== 'deadline-exceeded') {
    return new SwarmError(error.code, `${name}: ${error.message}`, { cause: error });
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const advice = CERTIFICATE_ERROR.test(code)
    ? 'give swarmd the authority of its certificate (registries.HOST.caFile)'
    : 'check its address, and whether it needs to be listed as insecure (plain HTTP)';
  return new SwarmError(
    'unavailable',
    `${name} cannot be reached: ${errorMessage(error)}; ${advice}`,
    {
      cause: error,
    },
  );
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
