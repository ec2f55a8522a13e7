/** One image to one repository (OCI distribution specification, "Push"): its blobs, then its manifest. */
import { createReadStream } from 'node:fs';

import { SwarmError } from '@swarmd/base';

import type { ImageDocuments } from '../image/stored-images.ts';
import type { RegistryClient } from './client.ts';

export interface PushOptions {
  readonly registry: RegistryClient;
  readonly image: ImageDocuments;
  readonly tag: string;
  readonly blobPath: (digest: string) => string;
}

/**
 * Yields the digest of each layer that is there: sent, or known before.
 * @throws SwarmError `permission-denied`, `unavailable`, `internal`.
 */
export async function* pushImage(
  options: PushOptions,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { registry, image, tag, blobPath } = options;
  for (const { digest, size } of image.layers) {
    await pushBlob(
      registry,
      { digest, size, read: () => createReadStream(blobPath(digest)) },
      signal,
    );
    yield digest;
  }
  const { digest, size } = image.configDescriptor;
  await pushBlob(registry, { digest, size, read: () => image.config }, signal);
  const path = `/manifests/${tag}`;
  const headers = { 'content-type': image.mediaType };
  const answer = await registry.request(
    { path, method: 'PUT', headers, body: image.manifest },
    signal,
  );
  answer.body.resume();
  registry.check(answer, path);
}

async function pushBlob(
  registry: RegistryClient,
  blob: {
    readonly digest: string;
    readonly size: number;
    readonly read: () => Buffer | ReturnType<typeof createReadStream>;
  },
  signal: AbortSignal,
): Promise<void> {
  const { digest, size, read } = blob;
  const known = await registry.request({ path: `/blobs/${digest}`, method: 'HEAD' }, signal);
  known.body.resume();
  if (known.status === 200) return;
  const path = '/blobs/uploads/';
  const begun = await registry.request({ path, method: 'POST' }, signal);
  begun.body.resume();
  registry.check(begun, path);
  const { location } = begun.headers;
  if (location === undefined || !URL.canParse(location, begun.url)) {
    throw new SwarmError('internal', `${registry.name} does not say where to upload to`);
  }
  const target = new URL(location, begun.url);
  target.searchParams.set('digest', digest);
  const headers = { 'content-type': 'application/octet-stream', 'content-length': `${size}` };
  const put = { path: target.href, method: 'PUT', headers, body: read() } as const;
  const sent = await registry.request(put, signal);
  sent.body.resume();
  registry.check(sent, path);
}
