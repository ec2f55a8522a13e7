/** Whether this kernel can do what encrypted networks need: tried out in a namespace that ends with it. */
import { errorMessage } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import {
  espPolicyObject,
  espStateObject,
  guardObjects,
  PLACES,
  toSteps,
} from '../desired/kernel-object.ts';
import { scriptOf } from './script.ts';

const SAMPLE = { source: '192.0.2.1', destination: '192.0.2.2', spi: '0x01000001', port: 4_790 };
const KEY = `0x${'5a'.repeat(20)}`;
const RULES = `table ip t {
  chain i { type filter hook prerouting priority -300; meta ipsec missing drop; }
  chain o { type filter hook postrouting priority -150; rt ipsec missing drop; }
}
`;

/** What it lacks, for people; empty when it can. */
export async function lacksForEncryption(): Promise<string> {
  const objects = [
    ...guardObjects(SAMPLE.port),
    espStateObject({ ...SAMPLE, key: KEY }),
    espPolicyObject(SAMPLE),
  ];
  const steps = [
    ...toSteps(
      objects.flatMap(({ put }) => put),
      PLACES,
    ),
    { kind: 'nft', text: RULES } as const,
  ];
  try {
    await run('unshare', ['--net', 'sh', '-e', '-s'], { input: scriptOf(steps) });
    return '';
  } catch (error) {
    return reasonOf(errorMessage(error));
  }
}

/** What the kernel says of a type of state that it does not have (net/xfrm/xfrm_state.c). */
function reasonOf(said: string): string {
  if (/Requested .* not found|Protocol not supported/i.test(said)) {
    return 'its kernel has no IPsec with AES-GCM (CONFIG_INET_ESP, CONFIG_CRYPTO_GCM)';
  }
  const line = said.split('\n').find((one) => /error|cannot|not /i.test(one)) ?? said;
  return `its kernel refuses IPsec: ${line.trim()}`;
}
