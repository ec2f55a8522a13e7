/** Where this host's own connections lead that it translates: to backends of published ports. */
import { run } from '@swarmd/base/system';

/** The last "src" of a line is who answers. What the shell sorts out we need not hold: there may be many. */
const SCRIPT = `for family in ipv4 ipv6
do conntrack -L -f $family --dst-nat 2>/dev/null
done | sed -n 's/.* src=\\([0-9a-f.:]*\\) dst=.*/\\1/p' | sort -u`;

/** Their addresses in either family, each once. */
export async function translatedTo(): Promise<string[]> {
  const { stdout } = await run('sh', ['-c', SCRIPT]);
  return stdout.split('\n').filter((line) => line !== '');
}
