/**
 * One layer from a stream of its blob to a directory: digest of the blob, decompression, digest of
 * the plain tar, rewriting, GNU tar. Both digests and the size are checked before the directory
 * counts as whole; on any failure it is removed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { Readable, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { SwarmError } from '@swarmd/base';

import type { Compression } from '../image/manifest.ts';
import { LAYER_PLAIN_MAX_BYTES, STDERR_MAX_CHARS } from '../limits.ts';
import { LayerRewriter } from './layer-rewriter.ts';

export interface LayerSource {
  /** The blob's digest and size by the manifest, and the digest of its plain tar by the config. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly diffId: string;
  readonly compression: Compression;
}

export interface UnpackedLayer {
  /** Bytes of the plain archive. */
  readonly plainBytes: number;
  /** Directories, relative to the layer, that show nothing of the layers below. */
  readonly opaque: readonly string[];
}

const TAR = '/bin/tar';
const TAR_ARGUMENTS = [
  '--xattrs',
  '--xattrs-include=user.*',
  '--xattrs-include=security.capability',
  '--xattrs-include=trusted.overlay.opaque',
  '--numeric-owner',
  '--same-owner',
  '--same-permissions',
  '--delay-directory-restore',
  '--warning=no-timestamp',
  '--blocking-factor=128',
];
const DECOMPRESS_CHUNK_BYTES = 256 * 1024;

/**
 * @param directory must not exist; its parent must.
 * @returns what is in the directory now.
 * @throws SwarmError `data-loss` (digest, size, format), `permission-denied` (unsafe archive),
 *   `resource-exhausted` (bomb, full disk).
 */
export async function unpackLayer(
  layer: LayerSource,
  options: { blob: AsyncIterable<Uint8Array>; directory: string; signal: AbortSignal },
): Promise<UnpackedLayer> {
  const { blob, directory, signal } = options;
  await mkdir(directory, { mode: 0o755 });
  const tar = new TarChild(directory);
  const plain = new PlainSink(layer, tar);
  try {
    const checked = checkBlob(layer, blob);
    const consume = async (stream: AsyncIterable<Buffer>): Promise<void> => {
      for await (const chunk of stream) await plain.write(chunk);
      await plain.end();
    };
    const decompress = decompressor(layer.compression);
    const source = Readable.from(checked, { objectMode: false });
    if (decompress === undefined) await pipeline(source, consume, { signal });
    else await pipeline(source, decompress, consume, { signal });
    return { plainBytes: plain.bytes, opaque: plain.opaque };
  } catch (error) {
    await tar.kill();
    await rm(directory, { recursive: true, force: true });
    throw explain(error, layer);
  }
}

/** Passes the blob on; its end is refused unless every byte of it was right. */
async function* checkBlob(
  layer: LayerSource,
  blob: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of blob) {
    size += chunk.length;
    if (size > layer.sizeBytes) break;
    hash.update(chunk);
    yield chunk;
  }
  if (size !== layer.sizeBytes) {
    const actual = size > layer.sizeBytes ? 'more' : `${size}`;
    // A body cut short is a lost connection more often than a lie: worth another attempt.
    throw new SwarmError(
      size < layer.sizeBytes ? 'unavailable' : 'data-loss',
      `layer ${layer.digest} has ${actual} bytes instead of ${layer.sizeBytes}`,
    );
  }
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== layer.digest) {
    throw new SwarmError(
      'data-loss',
      `wrong bytes for layer ${layer.digest}: their digest is ${digest}`,
    );
  }
}

/** The plain tar's way through digest and rewriter into tar. */
class PlainSink {
  readonly #layer: LayerSource;
  readonly #tar: TarChild;
  readonly #hash = createHash('sha256');
  readonly #rewriter = new LayerRewriter();
  #size = 0;

  constructor(layer: LayerSource, tar: TarChild) {
    this.#layer = layer;
    this.#tar = tar;
  }

  get opaque(): readonly string[] {
    return this.#rewriter.opaque;
  }

  get bytes(): number {
    return this.#size;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#size += chunk.length;
    if (this.#size > LAYER_PLAIN_MAX_BYTES) {
      throw new SwarmError(
        'resource-exhausted',
        `layer ${this.#layer.digest} holds more than ${LAYER_PLAIN_MAX_BYTES} bytes`,
      );
    }
    this.#hash.update(chunk);
    for (const piece of this.#rewriter.push(chunk)) await this.#tar.write(piece);
  }

  async end(): Promise<void> {
    for (const piece of this.#rewriter.end()) await this.#tar.write(piece);
    await this.#tar.end();
    const digest = `sha256:${this.#hash.digest('hex')}`;
    if (digest !== this.#layer.diffId) {
      throw new SwarmError(
        'data-loss',
        `layer ${this.#layer.digest} unpacks to ${digest} instead of ${this.#layer.diffId}, which the image's configuration names`,
      );
    }
  }
}

/** GNU tar, unpacking what it is fed. Never -P: tar's own care with links and names stays on. */
class TarChild {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #stderr = '';

  constructor(directory: string) {
    this.#child = spawn(TAR, [...TAR_ARGUMENTS, '-C', directory, '-xf', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { LC_ALL: 'C.UTF-8', PATH: '/usr/bin:/bin' },
    });
    this.#closed = once(this.#child, 'close').catch((error: unknown) => {
      this.#stderr ||= String(error);
    });
    this.#child.stderr?.on('data', (data: Buffer) => {
      if (this.#stderr.length < STDERR_MAX_CHARS) this.#stderr += data.toString();
    });
    // A broken pipe means that tar has died: its exit says why.
    this.#child.stdin?.on('error', () => undefined);
  }

  async write(data: Buffer): Promise<void> {
    const { stdin } = this.#child;
    if (stdin === null || stdin.destroyed) throw await this.#failure();
    if (stdin.write(data)) return;
    const drained = new Promise<void>((resolve) => stdin.once('drain', resolve));
    await Promise.race([drained, this.#closed]);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      throw await this.#failure();
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
    if (this.#child.exitCode !== 0) throw await this.#failure();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  async #failure(): Promise<SwarmError> {
    await this.#closed;
    const said = this.#stderr.trim() || `exit code ${this.#child.exitCode}`;
    const isFull = said.includes('No space left');
    return new SwarmError(
      isFull ? 'resource-exhausted' : 'data-loss',
      `unpacking with tar failed: ${said}`,
    );
  }
}

function decompressor(compression: Compression): Transform | undefined {
  if (compression === 'none') return undefined;
  return compression === 'gzip'
    ? createGunzip({ chunkSize: DECOMPRESS_CHUNK_BYTES })
    : createZstdDecompress({ chunkSize: DECOMPRESS_CHUNK_BYTES });
}

function explain(error: unknown, layer: LayerSource): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code.startsWith('Z_') || code.startsWith('ZSTD')) {
    return new SwarmError('data-loss', `layer ${layer.digest} cannot be decompressed: ${code}`, {
      cause: error,
    });
  }
  return error;
}
