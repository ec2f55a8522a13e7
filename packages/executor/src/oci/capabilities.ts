/** Capabilities of a container's first process. The default set is Docker's. Pure. */
import { SwarmError } from '@swarmd/base';

/** By number; capability.h of Linux 6.x. */
const ALL =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
  SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
  AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
  PERFMON BPF CHECKPOINT_RESTORE`
    .split(/\s+/)
    .map((name) => `CAP_${name}`);

const DEFAULT = `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
  NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

/**
 * The default set without `drop`, with `add`. Names with or without "CAP_", any case; "ALL" means
 * every one that is givable. What is added wins over "ALL" dropped, what is dropped by name wins over all.
 * @throws SwarmError `invalid-argument` for a name the kernel does not know.
 */
export function capabilitySet(
  add: readonly string[],
  drop: readonly string[],
  givable: readonly string[] = ALL,
): readonly string[] {
  const added = add.map(canonical);
  const dropped = drop.map(canonical);
  const base = added.includes('ALL') ? givable : dropped.includes('ALL') ? [] : DEFAULT;
  const set = new Set([...base, ...added.filter((name) => name !== 'ALL')]);
  for (const name of dropped) set.delete(name);
  return ALL.filter((name) => set.has(name));
}

/**
 * Every capability that this machine can give: "ALL" may be less than the kernel knows, as in a virtual
 * machine or container that was itself given less.
 * @param status text of /proc/self/status.
 */
export function givableCapabilities(status: string): readonly string[] {
  const bounding = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ALL.filter((_, number) => (bounding & (1n << BigInt(number))) !== 0n);
}

function canonical(name: string): string {
  const upper = name.toUpperCase();
  if (upper === 'ALL') return upper;
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (ALL.includes(full)) return full;
  throw new SwarmError(
    'invalid-argument',
    `"${name}" is not a capability of this kernel; see capabilities(7)`,
  );
}
