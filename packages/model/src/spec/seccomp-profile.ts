/**
 * Seccomp profiles of a spec's own, as people have them in files: in the form of the OCI runtime specification, or in
 * that of Docker and Podman, where rules may depend on the container's capabilities, the architecture and the kernel.
 */
import { z } from 'zod';

const texts = z.array(z.string());
/** Older profiles say `null` for nothing. */
const orNull = <T extends z.ZodType>(schema: T) => schema.nullish();

const condition = z.object({
  arches: orNull(texts),
  caps: orNull(texts),
  /** "4.8". */
  minKernel: orNull(z.string().regex(/^\d+\.\d+$/, 'must be a version such as 4.8')),
});

const syscallRule = z.object({
  /** Of old profiles: one. */
  name: orNull(z.string()),
  names: orNull(texts),
  action: z.string(),
  errnoRet: orNull(z.int().min(0)),
  args: orNull(
    z.array(
      z.object({
        index: z.int().min(0).max(5),
        value: z.number(),
        valueTwo: z.number().exactOptional(),
        op: z.string(),
      }),
    ),
  ),
  includes: orNull(condition),
  excludes: orNull(condition),
});

const seccompProfile = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: orNull(z.int().min(0)),
  architectures: orNull(texts),
  archMap: orNull(z.array(z.object({ architecture: z.string(), subArchitectures: orNull(texts) }))),
  flags: orNull(texts),
  listenerPath: orNull(z.string()),
  listenerMetadata: orNull(z.string()),
  syscalls: orNull(z.array(syscallRule)),
});

export type CustomSeccompProfile = z.infer<typeof seccompProfile>;
export type SeccompCondition = z.infer<typeof condition>;

/** @throws Error whose message says what is wrong with it. */
export function parseSeccompProfile(text: string): CustomSeccompProfile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('the seccomp profile is not JSON');
  }
  const parsed = seccompProfile.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new Error(`the seccomp profile is wrong${where && ` at ${where}`}: ${issue?.message}`);
}
