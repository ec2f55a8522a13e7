/** The configuration file. Loaded only where there is one: zod costs an idle worker memory. */
import { readFile } from 'node:fs/promises';

import { errorMessage, SwarmError } from '@swarmd/base';
import { z } from 'zod';

import { LOG_LEVELS, RAFT_PROFILES, type GivenSettings } from './settings.ts';

const schema = z.strictObject({
  stateDir: z.string().min(1).optional(),
  runDir: z.string().min(1).optional(),
  listenAddr: z.string().optional(),
  advertiseAddr: z.string().optional(),
  cgroupParent: z.string().min(1).optional(),
  insecureRegistries: z.array(z.string().min(1)).optional(),
  storageDriver: z.enum(['overlay', 'vfs']).optional(),
  userns: z
    .strictObject({ user: z.string().min(1).optional(), byDefault: z.boolean().optional() })
    .optional(),
  imageCleanUp: z
    .strictObject({
      unusedForDays: z.number().min(0).optional(),
      highPercent: z.number().min(1).max(100).optional(),
      lowPercent: z.number().min(1).max(100).optional(),
    })
    .optional(),
  registries: z
    .record(
      z.string().min(1),
      z.strictObject({
        insecure: z.boolean().optional(),
        caFile: z.string().startsWith('/').optional(),
        mirrors: z.array(z.string()).optional(),
      }),
    )
    .optional(),
  runtimes: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9_.-]*$/, 'is no name'), z.string().startsWith('/'))
    .optional(),
  logDriver: z.string().optional(),
  logOpts: z.record(z.string(), z.string()).optional(),
  logLevel: z.enum(LOG_LEVELS).optional(),
  raftProfile: z.enum(RAFT_PROFILES).optional(),
  nodeLabels: z.record(z.string().min(1), z.string()).optional(),
  genericResources: z.array(z.string()).optional(),
});

/** @throws SwarmError `invalid-argument` naming the file and the key. */
export async function readConfigFile(path: string): Promise<GivenSettings> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new SwarmError('invalid-argument', `${path}: ${errorMessage(cause)}`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const key = issue.path.join('.');
    return key === '' ? issue.message : `${key}: ${issue.message}`;
  });
  throw new SwarmError('invalid-argument', `${path}: ${problems.join('; ')}`);
}
