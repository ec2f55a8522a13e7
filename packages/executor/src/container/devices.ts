/**
 * Devices of a spec: nodes of this machine by path, and devices by their CDI name ("vendor.com/class=name",
 * Container Device Interface 0.6), whose files say which nodes, mounts and variables they need.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError } from '@swarmd/base';
import { z } from 'zod';

import { errnoOf, isNotFound } from '../files/atomic-file.ts';
import type { Device, OciMount } from '../oci/spec.ts';

/** Where vendors put their files; the later one wins. */
const CDI_FOLDERS = ['/etc/cdi', '/var/run/cdi'];
const CDI_NAME = /^[a-z][\w.-]*\/[a-z][\w.-]*=[\w.:-]+$/i;

const edits = z.object({
  env: z.array(z.string()).default([]),
  deviceNodes: z
    .array(
      z.object({
        path: z.string(),
        hostPath: z.string().optional(),
        permissions: z.string().default('rwm'),
      }),
    )
    .default([]),
  mounts: z
    .array(
      z.object({
        hostPath: z.string(),
        containerPath: z.string(),
        options: z.array(z.string()).default(['ro', 'nosuid', 'nodev', 'bind']),
      }),
    )
    .default([]),
});
const cdiFile = z.object({
  kind: z.string(),
  devices: z.array(z.object({ name: z.string(), containerEdits: edits.prefault({}) })),
  containerEdits: edits.prefault({}),
});

export interface DeviceEdits {
  readonly devices: readonly Device[];
  readonly mounts: readonly OciMount[];
  readonly env: readonly string[];
}

/** @throws SwarmError `failed-precondition` naming the device that this node does not have. */
export async function deviceEdits(
  wanted: readonly string[],
  folders: readonly string[] = CDI_FOLDERS,
): Promise<DeviceEdits> {
  const devices: Device[] = [];
  const mounts: OciMount[] = [];
  const env: string[] = [];
  for (const text of wanted) {
    if (!CDI_NAME.test(text)) {
      const [source = '', target = source, access = 'rwm'] = text.split(':');
      devices.push(await node(source, target, access));
      continue;
    }
    for (const edit of await cdiEdits(text, folders)) {
      for (const { path, hostPath = path, permissions } of edit.deviceNodes)
        devices.push(await node(hostPath, path, permissions));
      for (const { hostPath, containerPath, options } of edit.mounts) {
        mounts.push({ destination: containerPath, type: 'bind', source: hostPath, options });
      }
      env.push(...edit.env);
    }
  }
  return { devices, mounts, env };
}

/** Major and minor number from st_rdev, as glibc's gnu_dev_major and gnu_dev_minor. */
function numbers(rdev: number): { major: number; minor: number } {
  const low = rdev % 2 ** 32;
  const high = Math.floor(rdev / 2 ** 32);
  const major = ((low >>> 8) & 0xfff) + (high & ~0xfff);
  const minor = (low & 0xff) + ((low >>> 12) & 0xfff00);
  return { major, minor };
}

async function node(source: string, path: string, access: string): Promise<Device> {
  if (!/^[rwm]{1,3}$/.test(access) || !path.startsWith('/')) {
    throw new SwarmError(
      'invalid-argument',
      `device ${source}:${path}:${access}: write /dev/NODE[:/dev/NAME[:rwm]]`,
    );
  }
  const stats = await stat(source).catch((error: unknown) => {
    if (isNotFound(error) || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  });
  if (stats === undefined || !(stats.isCharacterDevice() || stats.isBlockDevice())) {
    throw new SwarmError('failed-precondition', `this node has no device ${source}`);
  }
  return { path, type: stats.isBlockDevice() ? 'b' : 'c', ...numbers(stats.rdev), access };
}

async function cdiEdits(
  name: string,
  folders: readonly string[],
): Promise<readonly z.infer<typeof edits>[]> {
  const [kind, device] = name.split('=');
  let found: z.infer<typeof edits>[] | undefined;
  for (const folder of folders) {
    for (const file of await readdir(folder).catch(() => [])) {
      if (!file.endsWith('.json')) continue;
      const parsed = cdiFile.safeParse(json(await readFile(join(folder, file), 'utf8')));
      if (!parsed.success || parsed.data.kind !== kind) continue;
      const entry = parsed.data.devices.find((candidate) => candidate.name === device);
      if (entry !== undefined) found = [parsed.data.containerEdits, entry.containerEdits];
    }
  }
  if (found !== undefined) return found;
  throw new SwarmError(
    'failed-precondition',
    `this node has no device ${name}: no file in ${folders.join(' or ')} describes it`,
  );
}

/** Other people's files may be damaged; then they describe nothing. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
