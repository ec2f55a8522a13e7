/** What runs in a container: image, process, files. Defaults are Swarm's where not said otherwise. */
import { errorMessage } from '@swarmd/base';
import { z } from 'zod';

import { LOG_DRIVERS, logPlan } from '../log-options.ts';
import { labels, durationMs, objectName } from './common.ts';
import { parseSeccompProfile } from './seccomp-profile.ts';

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
  /** bind only: how mounts made later travel between node and container; '' is rprivate. */
  propagation: z
    .enum(['', 'private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'])
    .default(''),
  /** bind only: without what is mounted below the source. */
  nonRecursive: z.boolean().default(false),
  /** volume only: a folder of the volume instead of all of it; relative, without "..". */
  subpath: z
    .string()
    .regex(/^(?!\/)(?!(.*\/)?\.\.(\/|$))/, 'must be a relative path without ".."')
    .default(''),
  /** volume only: a new one starts empty, not with what the image has at the target. */
  noCopy: z.boolean().default(false),
  /** volume only, for one that is made for this: its driver, the driver's options, its labels. */
  driver: z.string().default(''),
  driverOptions: z.record(z.string(), z.string()).default({}),
  labels: z.record(z.string(), z.string()).default({}),
});
export type MountSpec = z.infer<typeof mountSpec>;

const ulimitSpec = z.strictObject({
  /** As in setrlimit(2), e.g. "nofile". */
  name: z.string().regex(/^[a-z]+$/, 'must be a lower-case name such as nofile'),
  /** -1: without limit. */
  soft: z.int().min(-1),
  hard: z.int().min(-1),
});

export const logSpec = z
  .strictObject({
    /** Empty: the node's default. */
    driver: z.enum(['', ...LOG_DRIVERS]).default(''),
    /** By name, as the driver understands them (`logPlan`). */
    options: z.record(z.string(), z.string()).default({}),
  })
  .superRefine(({ driver, options }, context) => {
    try {
      logPlan(driver, options);
    } catch (error) {
      context.addIssue({ code: 'custom', path: ['options'], message: errorMessage(error) });
    }
  });
export type LogSpec = z.infer<typeof logSpec>;

const dnsSpec = z.strictObject({
  /** Asked for what is not the cluster's, instead of the host's: addresses. */
  nameservers: z.array(z.string()).default([]),
  /** Instead of the host's; "." alone: none. */
  search: z.array(z.string()).default([]),
  /** Instead of the host's. */
  options: z.array(z.string()).default([]),
});

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
  /** Standard input stays open, for `task attach`. */
  stdin: z.boolean().default(false),
  /** More groups of the process, names or numbers. */
  groups: z.array(z.string()).default([]),
  /** Every capability and device, nothing masked, no seccomp filter. */
  privileged: z.boolean().default(false),
  noNewPrivileges: z.boolean().default(false),
  ulimits: z.array(ulimitSpec).default([]),
  /** "/dev/node[:/dev/container[:rwm]]", or a CDI name "vendor.com/class=device". */
  devices: z.array(z.string().min(1)).default([]),
  /** Bytes of /dev/shm; 0: 64 MiB. */
  shmSizeBytes: z.int().min(0).default(0),
  oomScoreAdj: z.int().min(-1000).max(1000).default(0),
  /** Whether its ids are shifted to some that are nobody's on the node; empty: as the node is configured. */
  userns: z.enum(['', 'host', 'remap']).default(''),
  /** Empty: the default filter; "unconfined"; or a profile as JSON, see `parseSeccompProfile`. */
  seccomp: z
    .string()
    .max(256 * 1024)
    .superRefine((text, context) => {
      if (text === '' || text === 'unconfined') return;
      try {
        parseSeccompProfile(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: errorMessage(error) });
      }
    })
    .default(''),
  /** A runtime that the nodes are configured with; empty: their default. */
  runtime: z.string().default(''),
  /** Id of a secret with credentials for the image's registry (see `parseRegistryAuth`); or empty. */
  registrySecret: z.string().default(''),
  log: logSpec.prefault({}),
  dns: dnsSpec.prefault({}),
});
export type ContainerSpec = z.infer<typeof containerSpec>;

/** Ids of all secrets that a container needs: those it sees as files, and its registry's. */
export function secretIds({ secrets, registrySecret }: ContainerSpec): readonly string[] {
  const files = secrets.map((one) => one.id);
  return registrySecret === '' ? files : [...files, registrySecret];
}
