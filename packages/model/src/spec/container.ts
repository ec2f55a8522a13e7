/** What runs in a container: image, process, files. Defaults are Swarm's where not said otherwise. */
import { z } from 'zod';

import { labels, durationMs, objectName } from './common.ts';

/** The grammar of image references, as registries and Docker's clients understand it. */
const IMAGE_REFERENCE = (() => {
  const registry = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?/`;
  const component = String.raw`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`;
  const tag = String.raw`:\w[\w.-]{0,127}`;
  const digest = String.raw`@[a-z0-9]+:[0-9a-f]{32,}`;
  return new RegExp(`^(?:${registry})?${component}(?:/${component})*(?:${tag})?(?:${digest})?$`);
})();

const absolutePath = z.string().regex(/^\//, 'must be an absolute path');

export const mountSpec = z.strictObject({
  kind: z.enum(['bind', 'volume', 'tmpfs']),
  /** Host path for bind, volume name for volume, empty for tmpfs and anonymous volumes. */
  source: z.string().default(''),
  target: absolutePath,
  readOnly: z.boolean().default(false),
  /** tmpfs only: size in bytes, 0 for the kernel's default. */
  tmpfsSizeBytes: z.int().min(0).default(0),
  tmpfsMode: z.int().min(0).max(0o7777).default(0o1777),
});
export type MountSpec = z.infer<typeof mountSpec>;

/** A secret or config as a file of a container. */
export const fileReference = z.strictObject({
  /** Id of the secret or config. */
  id: z.string().min(1),
  name: objectName,
  /** Secrets: relative to /run/secrets. Configs: relative to /. Absolute paths are taken as they are. */
  target: z.string().min(1),
  uid: z.int().min(0).default(0),
  gid: z.int().min(0).default(0),
  mode: z.int().min(0).max(0o7777).default(0o444),
});
export type FileReference = z.infer<typeof fileReference>;

export const healthcheckSpec = z.strictObject({
  /** ["CMD", arg...], ["CMD-SHELL", line] or ["NONE"]. */
  test: z.array(z.string()).min(1),
  intervalMs: durationMs.min(1).default(30_000),
  timeoutMs: durationMs.min(1).default(30_000),
  retries: z.int().min(1).default(3),
  startPeriodMs: durationMs.default(0),
  startIntervalMs: durationMs.min(1).default(5_000),
});
export type HealthcheckSpec = z.infer<typeof healthcheckSpec>;

export const containerSpec = z.strictObject({
  /** Reference: [registry/]repository[:tag][@digest]. */
  image: z
    .string()
    .min(1, 'an image is required')
    .regex(
      IMAGE_REFERENCE,
      'is no image reference: write [registry/]repository[:tag][@digest], with a lower-case repository',
    ),
  labels,
  /** Replaces the image's entrypoint when not empty. */
  command: z.array(z.string()).default([]),
  /** Replaces the image's command when not empty. */
  args: z.array(z.string()).default([]),
  hostname: z.string().max(63).default(''),
  /** NAME=value, or NAME to remove what the image sets. */
  env: z.array(z.string().regex(/^[^=]+(=[\s\S]*)?$/, 'must be NAME=value')).default([]),
  dir: z.union([z.literal(''), absolutePath]).default(''),
  /** user[:group], names or numbers. */
  user: z.string().default(''),
  tty: z.boolean().default(false),
  readOnly: z.boolean().default(false),
  init: z.boolean().default(false),
  /** Empty: the image's, else SIGTERM. */
  stopSignal: z.string().default(''),
  stopGracePeriodMs: durationMs.default(10_000),
  mounts: z.array(mountSpec).default([]),
  secrets: z.array(fileReference).default([]),
  configs: z.array(fileReference).default([]),
  /** Lines for /etc/hosts: "address name...". */
  hosts: z.array(z.string()).default([]),
  capabilityAdd: z.array(z.string()).default([]),
  capabilityDrop: z.array(z.string()).default([]),
  sysctls: z.record(z.string(), z.string()).default({}),
  healthcheck: healthcheckSpec.optional(),
});
export type ContainerSpec = z.infer<typeof containerSpec>;
