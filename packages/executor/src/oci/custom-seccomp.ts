/**
 * A seccomp profile of a spec's own, as the runtime is to have it. Docker's form says of a rule for whom it is;
 * runtimes know nothing of that, and would apply all of them to everybody. Pure.
 */
import { errorMessage, SwarmError } from '@swarmd/base';
import { parseSeccompProfile, type SeccompCondition } from '@swarmd/model';

import type { SeccompProfile, SyscallRule } from './seccomp.ts';

export interface SeccompContext {
  /** Of the container, "CAP_SYS_ADMIN". */
  readonly capabilities: readonly string[];
  /** As `process.arch` names it. */
  readonly architecture: string;
  /** As `os.release()` tells it, "6.1.0-28-amd64". */
  readonly kernel: string;
}

/** What profiles call it: in `includes` and `excludes`, and in `archMap`. */
const NAMES: Readonly<Record<string, readonly [string, string]>> = {
  x64: ['amd64', 'SCMP_ARCH_X86_64'],
  arm64: ['arm64', 'SCMP_ARCH_AARCH64'],
};

/**
 * Which rules are whose: moby/profiles/seccomp, `setupSeccomp`.
 * @throws SwarmError `invalid-argument`.
 */
export function customSeccomp(text: string, context: SeccompContext): SeccompProfile {
  const profile = parsed(text);
  const { defaultAction, defaultErrnoRet, archMap, flags, listenerPath, listenerMetadata } =
    profile;
  const [, native] = NAMES[context.architecture] ?? [];
  const mapped = archMap?.find(({ architecture }) => architecture === native);
  const architectures = mapped
    ? [mapped.architecture, ...(mapped.subArchitectures ?? [])]
    : profile.architectures;
  const rules = (profile.syscalls ?? []).filter(
    ({ includes, excludes }) =>
      !isExcluded(excludes ?? {}, context) && isIncluded(includes ?? {}, context),
  );
  return {
    defaultAction,
    ...(defaultErrnoRet == null ? {} : { defaultErrnoRet }),
    ...(architectures == null ? {} : { architectures }),
    ...(flags == null ? {} : { flags }),
    ...(listenerPath == null ? {} : { listenerPath }),
    ...(listenerMetadata == null ? {} : { listenerMetadata }),
    syscalls: rules.map(({ name, names, action, errnoRet, args }): SyscallRule => {
      return {
        names: [...(names ?? []), ...(name == null || name === '' ? [] : [name])],
        action,
        ...(errnoRet == null ? {} : { errnoRet }),
        ...(args == null || args.length === 0 ? {} : { args }),
      };
    }),
  };
}

function parsed(text: string): ReturnType<typeof parseSeccompProfile> {
  try {
    return parseSeccompProfile(text);
  } catch (cause) {
    throw new SwarmError('invalid-argument', errorMessage(cause), { cause });
  }
}

/** Any of what it names is enough. */
function isExcluded(
  { arches, caps, minKernel }: SeccompCondition,
  { architecture, capabilities, kernel }: SeccompContext,
): boolean {
  return (
    (arches ?? []).includes(NAMES[architecture]?.[0] ?? architecture) ||
    (caps ?? []).some((name) => capabilities.includes(name)) ||
    (minKernel != null && isAtLeast(kernel, minKernel))
  );
}

/** All of what it names must be so. */
function isIncluded(
  { arches, caps, minKernel }: SeccompCondition,
  { architecture, capabilities, kernel }: SeccompContext,
): boolean {
  const isHere =
    (arches ?? []).length === 0 ||
    (arches ?? []).includes(NAMES[architecture]?.[0] ?? architecture);
  return (
    isHere &&
    (caps ?? []).every((name) => capabilities.includes(name)) &&
    (minKernel == null || isAtLeast(kernel, minKernel))
  );
}

function isAtLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.', 2).map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
