/**
 * Manifests, indexes and image configurations of both families (OCI and Docker schema 2): checked
 * shapes and the choice of platform. Pure; bytes were checked against their digest before.
 */
import { SwarmError } from '@swarmd/base';
import type { HealthcheckSpec } from '@swarmd/model';
import { z } from 'zod';

import { IMAGE_LAYERS_MAX } from '../limits.ts';

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';
const INDEX_TYPES = [`${OCI}.index.v1+json`, `${DOCKER}.distribution.manifest.list.v2+json`];
const MANIFEST_TYPES = [`${OCI}.manifest.v1+json`, `${DOCKER}.distribution.manifest.v2+json`];
/** For the Accept header. */
export const DOCUMENT_TYPES: readonly string[] = [...INDEX_TYPES, ...MANIFEST_TYPES];

export type Compression = 'none' | 'gzip' | 'zstd';

const COMPRESSION_OF: Readonly<Record<string, Compression>> = {
  [`${OCI}.layer.v1.tar`]: 'none',
  [`${OCI}.layer.v1.tar+gzip`]: 'gzip',
  [`${OCI}.layer.v1.tar+zstd`]: 'zstd',
  [`${DOCKER}.image.rootfs.diff.tar`]: 'none',
  [`${DOCKER}.image.rootfs.diff.tar.gzip`]: 'gzip',
  [`${DOCKER}.image.rootfs.diff.tar.zstd`]: 'zstd',
};

const digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hexadecimal digits');
const descriptor = z.object({
  mediaType: z.string().default(''),
  digest,
  size: z.int().min(0),
  platform: z
    .object({
      os: z.string(),
      architecture: z.string(),
      variant: z.string().optional(),
    })
    .optional(),
});
export type Descriptor = z.infer<typeof descriptor>;

const indexDocument = z.object({ manifests: z.array(descriptor) });
const manifestDocument = z.object({
  config: descriptor,
  layers: z.array(descriptor).max(IMAGE_LAYERS_MAX),
});
export type ImageManifest = z.infer<typeof manifestDocument>;

const strings = z.array(z.string()).nullish();
const nanoseconds = z.number().min(0).default(0);
/** Docker's addition to the OCI configuration; times in nanoseconds, 0 for the default. */
const healthcheck = z.object({
  Test: strings,
  Interval: nanoseconds,
  Timeout: nanoseconds,
  StartPeriod: nanoseconds,
  StartInterval: nanoseconds,
  Retries: z.int().min(0).default(0),
});
const configDocument = z.object({
  os: z.string().default('linux'),
  architecture: z.string().default(''),
  config: z
    .object({
      User: z.string().nullish(),
      Env: strings,
      Entrypoint: strings,
      Cmd: strings,
      WorkingDir: z.string().nullish(),
      StopSignal: z.string().nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      Healthcheck: healthcheck.nullish(),
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(digest) }),
});

/** What of an image's configuration matters to run it; everything present, perhaps empty. */
export interface ImageConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly workingDir: string;
  readonly stopSignal: string;
  readonly volumes: readonly string[];
  /** Undefined when the image has none. */
  readonly healthcheck: HealthcheckSpec | undefined;
  /** Digest of each layer's plain tar, lowest first. */
  readonly diffIds: readonly string[];
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
}

export type ImageDocument =
  | { readonly kind: 'index'; readonly manifests: readonly Descriptor[] }
  | { readonly kind: 'manifest'; readonly manifest: ImageManifest };

/** @throws SwarmError `data-loss` when the document is none that can be run. */
export function parseDocument(bytes: Uint8Array, where: string): ImageDocument {
  const json = parseJson(bytes, where);
  const fields = z
    .object({ mediaType: z.string().optional(), schemaVersion: z.number().optional() })
    .safeParse(json);
  if (fields.success && fields.data.schemaVersion === 1) {
    throw new SwarmError(
      'failed-precondition',
      `${where}: Docker schema 1 is too old to be run; push the image again with a current tool`,
    );
  }
  const index = indexDocument.safeParse(json);
  if (index.success) return { kind: 'index', manifests: index.data.manifests };
  return { kind: 'manifest', manifest: check(manifestDocument, json, where) };
}

/** @throws SwarmError `data-loss`. */
export function parseImageConfig(bytes: Uint8Array, where: string): ImageConfig {
  const document = parseAs(configDocument, bytes, where);
  const config = document.config ?? {};
  return {
    user: config.User ?? '',
    env: config.Env ?? [],
    entrypoint: config.Entrypoint ?? [],
    command: config.Cmd ?? [],
    workingDir: config.WorkingDir ?? '',
    stopSignal: config.StopSignal ?? '',
    volumes: Object.keys(config.Volumes ?? {}),
    healthcheck: healthcheckOf(config.Healthcheck),
    diffIds: document.rootfs.diff_ids,
  };
}

const NS_PER_MS = 1e6;

/** With Docker's defaults for what is not said. An empty test means none. */
function healthcheckOf(
  check: z.infer<typeof healthcheck> | null | undefined,
): HealthcheckSpec | undefined {
  const test = check?.Test ?? [];
  if (check == null || test.length === 0) return undefined;
  const ms = (ns: number, otherwise: number): number =>
    ns === 0 ? otherwise : Math.max(1, Math.round(ns / NS_PER_MS));
  return {
    test,
    intervalMs: ms(check.Interval, 30_000),
    timeoutMs: ms(check.Timeout, 30_000),
    retries: check.Retries || 3,
    startPeriodMs: ms(check.StartPeriod, 0),
    startIntervalMs: ms(check.StartInterval, 5_000),
  };
}

/**
 * The manifest of an index that this machine can run. Lists may hold attestations, whose platform is
 * unknown/unknown.
 * @throws SwarmError `failed-precondition` naming what the index offers.
 */
export function choosePlatform(
  manifests: readonly Descriptor[],
  platform: Platform,
  where: string,
): Descriptor {
  const found = manifests.find(
    (entry) =>
      (entry.mediaType === '' || DOCUMENT_TYPES.includes(entry.mediaType)) &&
      entry.platform?.os === platform.os &&
      entry.platform.architecture === platform.architecture,
  );
  if (found !== undefined) return found;
  const offered = manifests.map((entry) => `${entry.platform?.os}/${entry.platform?.architecture}`);
  throw new SwarmError(
    'failed-precondition',
    `${where} has no image for ${platform.os}/${platform.architecture}, only for ${offered.join(', ') || 'nothing'}`,
  );
}

/** @throws SwarmError `unimplemented` for layers of another kind (foreign, encrypted). */
export function layerCompression(layer: Descriptor, where: string): Compression {
  const compression = COMPRESSION_OF[layer.mediaType];
  if (compression !== undefined) return compression;
  throw new SwarmError(
    'unimplemented',
    `${where}: layer ${layer.digest} is of the unknown type "${layer.mediaType}"`,
  );
}

/** @throws SwarmError `data-loss` when the bytes are no JSON of that shape. */
export function parseAs<T>(schema: z.ZodType<T>, bytes: Uint8Array, where: string): T {
  return check(schema, parseJson(bytes, where), where);
}

function parseJson(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new SwarmError('data-loss', `${where} is not JSON`, { cause });
  }
}

function check<T>(schema: z.ZodType<T>, json: unknown, where: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new SwarmError('data-loss', `${where}: ${z.prettifyError(result.error)}`);
}
