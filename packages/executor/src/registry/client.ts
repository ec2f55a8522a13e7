/**
 * One repository of one registry, over HTTP (OCI distribution specification 1.1): manifests and
 * small blobs as bytes, and the address and headers for layers, which the unpacker fetches itself.
 * Digests are checked here for everything that is returned as bytes.
 */
import { createHash } from 'node:crypto';

import { errorMessage, SwarmError, withDeadline, type Clock } from '@swarmd/base';

import { DOCUMENT_TYPES } from '../image/manifest.ts';
import type { ImageReference } from '../image/reference.ts';
import { DOCUMENT_MAX_BYTES, REGISTRY_STALL_MS, TOKEN_RESPONSE_MAX_BYTES } from '../limits.ts';
import { parseChallenge, tokenUrl } from './challenge.ts';

export interface RegistryOptions {
  readonly clock: Clock;
  /** host[:port] of registries that speak plain HTTP. Loopback addresses always may. */
  readonly insecureRegistries: readonly string[];
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
}

interface BodyOptions {
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/;
/** What docker.io stands for. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';

export class RegistryClient {
  readonly #options: RegistryOptions;
  readonly #reference: ImageReference;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(options: RegistryOptions, reference: ImageReference) {
    this.#options = options;
    this.#reference = reference;
    const { registry } = reference;
    const plain = LOOPBACK.test(registry) || options.insecureRegistries.includes(registry);
    const host = registry === 'docker.io' ? DOCKER_HUB_HOST : registry;
    this.#base = `${plain ? 'http' : 'https'}://${host}/v2/${reference.repository}`;
  }

  /** "registry 10.0.0.5:5000": how messages name it. */
  get name(): string {
    return `registry ${this.#reference.registry}`;
  }

  /**
   * The manifest or index that `tagOrDigest` names.
   * @throws SwarmError `not-found`, `permission-denied`, `unavailable`, `data-loss`.
   */
  async document(tagOrDigest: string, signal: AbortSignal): Promise<RegistryDocument> {
    const response = await this.#get(
      `/manifests/${tagOrDigest}`,
      DOCUMENT_TYPES.join(', '),
      signal,
    );
    const bytes = await this.#body(response, { maxBytes: DOCUMENT_MAX_BYTES, signal });
    const digest = sha256(bytes);
    if (tagOrDigest.startsWith('sha256:') && digest !== tagOrDigest) {
      throw this.#wrongDigest(tagOrDigest, digest);
    }
    return { bytes, digest };
  }

  /** The digest a tag stands for now, without its manifest; undefined when the registry does not say. */
  async resolve(tag: string, signal: AbortSignal): Promise<string | undefined> {
    const path = `/manifests/${tag}`;
    const response = await this.#request(
      path,
      { accept: DOCUMENT_TYPES.join(', '), method: 'HEAD' },
      signal,
    );
    this.#check(response, path);
    return response.headers.get('docker-content-digest') ?? undefined;
  }

  /** A small blob (an image configuration), checked against its digest. */
  async blob(digest: string, signal: AbortSignal): Promise<Uint8Array> {
    const response = await this.#get(`/blobs/${digest}`, '*/*', signal);
    const bytes = await this.#body(response, { maxBytes: DOCUMENT_MAX_BYTES, signal });
    const actual = sha256(bytes);
    if (actual !== digest) throw this.#wrongDigest(digest, actual);
    return bytes;
  }

  /** How to GET a layer now. */
  blobRequest(digest: string): BlobRequest {
    return {
      url: `${this.#base}/blobs/${digest}`,
      headers: this.#authorization === undefined ? {} : { authorization: this.#authorization },
    };
  }

  /** To be called when a blob was refused with 401: the next `blobRequest` carries a new token. */
  async reauthorize(signal: AbortSignal): Promise<void> {
    this.#authorization = undefined;
    const path = '/tags/list?n=1';
    await this.#request(path, { accept: '*/*', method: 'HEAD' }, signal);
  }

  async #get(path: string, accept: string, signal: AbortSignal): Promise<Response> {
    const response = await this.#request(path, { accept, method: 'GET' }, signal);
    this.#check(response, path);
    return response;
  }

  /** Sends once, and once more with a token when the registry asks for one. */
  async #request(
    path: string,
    options: { accept: string; method: 'GET' | 'HEAD' },
    signal: AbortSignal,
  ): Promise<Response> {
    const send = (): Promise<Response> =>
      this.#fetch(`${this.#base}${path}`, {
        method: options.method,
        headers: {
          accept: options.accept,
          ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        },
        signal,
      });
    const first = await send();
    if (first.status !== 401) return first;
    const challenge = parseChallenge(first.headers.get('www-authenticate'));
    const url =
      challenge === undefined ? undefined : tokenUrl(challenge, this.#reference.repository);
    if (url === undefined) return first;
    this.#authorization = `Bearer ${await this.#token(url, signal)}`;
    return send();
  }

  async #token(url: string, signal: AbortSignal): Promise<string> {
    const response = await this.#fetch(url, { headers: { accept: 'application/json' }, signal });
    if (!response.ok) {
      throw new SwarmError(
        response.status >= 500 ? 'unavailable' : 'permission-denied',
        `${this.name}: its token service ${new URL(url).host} refused a token for ${this.#reference.repository} (HTTP ${response.status})`,
      );
    }
    const body = await this.#body(response, { maxBytes: TOKEN_RESPONSE_MAX_BYTES, signal });
    const json = parseTokenResponse(body);
    if (json === undefined) {
      throw new SwarmError('unavailable', `${this.name}: its token service sent no token`);
    }
    return json;
  }

  async #fetch(url: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const { clock } = this.#options;
    const what = `asking ${this.name}`;
    try {
      return await withDeadline(
        { clock, timeoutMs: REGISTRY_STALL_MS, what, signal: init.signal },
        (signal) => fetch(url, { ...init, signal }),
      );
    } catch (error) {
      if (init.signal.aborted) throw error;
      throw unreachableRegistry(this.name, error);
    }
  }

  #check(response: Response, path: string): void {
    if (response.ok) return;
    const image = `${this.#reference.registry}/${this.#reference.repository}`;
    const item = path.split('/').at(-1) ?? '';
    const said = `${this.name} answered HTTP ${response.status}`;
    if (response.status === 404) {
      throw new SwarmError(
        'not-found',
        `image ${image}: ${said}: it has no "${item}"; check the name and the tag`,
      );
    }
    if (response.status === 401 || response.status === 403) {
      throw new SwarmError(
        'permission-denied',
        `image ${image}: ${said}: access to "${item}" is not allowed`,
      );
    }
    const code = response.status >= 500 || response.status === 429 ? 'unavailable' : 'internal';
    throw new SwarmError(code, `image ${image}: ${said} for "${item}"`);
  }

  async #body(response: Response, options: BodyOptions): Promise<Uint8Array> {
    const { maxBytes, signal } = options;
    const timeoutMs = REGISTRY_STALL_MS;
    const what = `reading a document of ${this.name}`;
    const chunks: Uint8Array[] = [];
    let length = 0;
    const read = async (signal: AbortSignal): Promise<void> => {
      for await (const chunk of response.body ?? []) {
        length += chunk.length;
        if (length > maxBytes || signal.aborted) return;
        chunks.push(chunk);
      }
    };
    try {
      await withDeadline({ clock: this.#options.clock, timeoutMs, what, signal }, read);
    } catch (error) {
      if (signal.aborted) throw error;
      throw unreachableRegistry(this.name, error);
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
      `${this.name} sent wrong bytes for ${this.#reference.repository}: digest ${actual} instead of ${expected}`,
    );
  }
}

/** Why a registry could not be asked, from what fetch threw. */
export function unreachableRegistry(name: string, error: unknown): SwarmError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return new SwarmError(
    'unavailable',
    `${name} cannot be reached: ${errorMessage(cause)}; check its address, and whether it needs to be listed as insecure (plain HTTP)`,
    { cause: error },
  );
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function parseTokenResponse(body: Uint8Array): string | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (typeof json !== 'object' || json === null) return undefined;
    const fields = json as Readonly<Record<string, unknown>>;
    const token = fields['token'] ?? fields['access_token'];
    return typeof token === 'string' ? token : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
