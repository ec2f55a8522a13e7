/** How this host itself looks up names. */
import { readFile } from 'node:fs/promises';

import { NO_RESOLVER, parseResolvConf, type Resolver } from '../desired/resolver.ts';

const RESOLV_CONF = '/etc/resolv.conf';

/** A host without the file knows no servers. @throws when it cannot be read. */
export async function readResolvConf(): Promise<Resolver> {
  try {
    return parseResolvConf(await readFile(RESOLV_CONF, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NO_RESOLVER;
    throw error;
  }
}
