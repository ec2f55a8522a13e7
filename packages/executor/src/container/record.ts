/**
 * What is remembered of a container across lives of the executor. Written before a step that needs to
 * be undone (`creating`) and after one that cannot be (`running`); `restore` corrects it by what the
 * kernel says.
 */
import { z } from 'zod';

import { SwarmError } from '@swarmd/base';
import { LOG_DRIVERS, resourceLimits } from '@swarmd/model';

import { readIfExists, writeAtomically } from '../files/atomic-file.ts';

const processIdentity = z.object({ pid: z.int(), startTicks: z.number() });

const logFiles = z.object({ maxBytes: z.number(), kept: z.number(), isCompressed: z.boolean() });

const logPlan = z.object({
  driver: z.enum(LOG_DRIVERS),
  spool: logFiles,
  isReadable: z.boolean(),
  attributes: z.object({
    labels: z.array(z.string()).readonly(),
    labelsRegex: z.string(),
    env: z.array(z.string()).readonly(),
    envRegex: z.string(),
    tag: z.string(),
  }),
  files: logFiles.optional(),
  syslog: z
    .object({
      transport: z.enum(['local', 'udp', 'tcp', 'tcp+tls', 'unix', 'unixgram']),
      host: z.string(),
      port: z.number(),
      path: z.string(),
      facility: z.number(),
      format: z.enum(['plain', 'rfc3164', 'rfc5424', 'rfc5424micro']),
      tls: z.object({
        ca: z.string(),
        cert: z.string(),
        key: z.string(),
        skipVerify: z.boolean(),
      }),
    })
    .optional(),
});

const containerRecord = z.object({
  id: z.string(),
  name: z.string(),
  image: z.string(),
  /** Canonical, and the layer directories its root is mounted of. */
  reference: z.string().optional(),
  layers: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()),
  phase: z.enum(['creating', 'created', 'running', 'exited', 'removing']),
  /** Pids mean nothing after a boot. */
  bootId: z.string(),
  stopSignal: z.string(),
  /** Undefined in records of versions that had no such thing: the defaults. */
  logPlan: logPlan.optional(),
  logAttributes: z.record(z.string(), z.string()).optional(),
  /** Names of the volumes it uses. */
  volumes: z.array(z.string()).optional(),
  /** Name of its runtime when it is not the default one. */
  runtime: z.string().optional(),
  /** The container's first process, and the monitor that holds its output and exit code. */
  process: processIdentity.optional(),
  monitor: processIdentity.optional(),
  healthcheck: z
    .object({
      test: z.array(z.string()),
      intervalMs: z.number(),
      timeoutMs: z.number(),
      retries: z.number(),
      startPeriodMs: z.number(),
      startIntervalMs: z.number(),
    })
    .optional(),
  /** As it was created with, or as they were changed since; absent in records of earlier versions. */
  limits: resourceLimits.optional(),
  /** Somebody paused it: a later life must not let it go. */
  isPaused: z.boolean().optional(),
  exit: z.object({ code: z.int(), oomKilled: z.boolean(), error: z.string() }).optional(),
});
export type ContainerRecord = z.infer<typeof containerRecord>;

/** Undefined when there is none, or it was cut short: then its container counts as half made. */
export async function readRecord(path: string): Promise<ContainerRecord | undefined> {
  const bytes = await readIfExists(path);
  if (bytes === undefined) return undefined;
  try {
    const parsed = containerRecord.safeParse(JSON.parse(bytes.toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Not synced: after a power loss no container is left to be remembered. */
export function writeRecord(path: string, record: ContainerRecord): Promise<void> {
  return writeAtomically(path, JSON.stringify(record), { sync: false });
}

/** Ids become file names, cgroup names and arguments. @throws SwarmError `invalid-argument`. */
export function checkContainerId(id: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/.test(id)) return;
  throw new SwarmError(
    'invalid-argument',
    `"${id}" is not a container id: 1 to 64 letters, digits, "_", "." or "-"`,
  );
}
