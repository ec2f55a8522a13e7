/**
 * Kernel parameters of a remapped container's network. The runtime sets them as the container's root, which has no
 * rights over a namespace that the machine has made: so the machine sets them.
 */
import { errorMessage, SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

/** No other signs: the name becomes a path. */
const NETWORK_NAME = /^net(\.[\w-]+)+$/;
const WRITE = 'while [ $# -gt 0 ]; do printf %s "$2" >"/proc/sys/$1"; shift 2; done';

export function isOfNetwork(name: string): boolean {
  return NETWORK_NAME.test(name);
}

/** @param namespace path of the network namespace. @throws SwarmError `failed-precondition`. */
export async function setNetworkSysctls(
  namespace: string,
  sysctls: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const pairs = Object.entries(sysctls).flatMap(([name, value]) => [
    name.replaceAll('.', '/'),
    value,
  ]);
  if (pairs.length === 0) return;
  try {
    await run('nsenter', [`--net=${namespace}`, 'sh', '-ec', WRITE, 'sh', ...pairs], { signal });
  } catch (cause) {
    throw new SwarmError(
      'failed-precondition',
      `the sysctls ${Object.keys(sysctls).join(', ')} cannot be set: ${errorMessage(cause)}`,
      { cause },
    );
  }
}
