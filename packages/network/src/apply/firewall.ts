/**
 * Getting along with other firewalls. An "accept" in our table does not overrule a "drop" in
 * another's (nftables(8), base chains), so where Docker or ufw make DROP the policy of iptables'
 * chains, our packets need rules there. So they do in chains of nftables (`desired/foreign-chains.ts`).
 */
import { run } from '@swarmd/base/system';

import type { FirewallNeeds } from '../desired/foreign-chains.ts';
import { GATEWAY_LINK_PREFIX, INGRESS_LINK } from '../desired/names.ts';
import { leaveForeignChains, passForeignChains } from './foreign-chains.ts';

const MARKER = ['-m', 'comment', '--comment', 'swarmd'];
const OUR_LINKS = [`${GATEWAY_LINK_PREFIX}+`, INGRESS_LINK];

const FORWARD_RULES = OUR_LINKS.flatMap((link) => [
  ['-i', link],
  ['-o', link],
]);

/** Each has its own chains, and policies. */
const PROGRAMS = ['iptables', 'ip6tables'] as const;
type Program = (typeof PROGRAMS)[number];

function inputRules({ gateway, vxlanPort, sealedPort }: FirewallNeeds): string[][] {
  const toDns = ['-i', `${GATEWAY_LINK_PREFIX}+`, '-d', gateway];
  return [
    [...toDns, '-p', 'udp', '--dport', '53'],
    [...toDns, '-p', 'tcp', '--dport', '53'],
    ['-p', 'udp', '--dport', String(vxlanPort)],
    // Our own table has dropped what of this did not come by IPsec.
    ...(sealedPort === undefined
      ? []
      : [
          ['-p', 'esp'],
          ['-p', 'udp', '--dport', String(sealedPort)],
        ]),
  ];
}

/**
 * Adds our rules to chains of nftables that drop what is left over, and to those of iptables whose policy is
 * DROP. Nothing without iptables.
 * @returns chains that cannot be changed, and why
 */
export async function passForeignFirewall(needs: FirewallNeeds): Promise<string[]> {
  const refused = await passForeignChains(needs);
  await passIptables(needs);
  return refused;
}

async function passIptables(needs: FirewallNeeds): Promise<void> {
  await passChain('iptables', 'FORWARD', FORWARD_RULES);
  await passChain('iptables', 'INPUT', inputRules(needs));
  if (!needs.ipv6) return;
  await passChain('ip6tables', 'FORWARD', FORWARD_RULES);
  if (needs.tunnelsByIpv6) {
    const tunnel = ['-p', 'udp', '--dport', String(needs.vxlanPort)];
    await passChain('ip6tables', 'INPUT', [tunnel]);
  }
}

async function passChain(
  program: Program,
  chain: string,
  rules: readonly (readonly string[])[],
): Promise<void> {
  const present = await listChain(program, chain);
  if (present?.includes(`-P ${chain} DROP`) !== true) return;
  if (ourRules(present).length === rules.length) return;
  await removeFrom(program, chain, present);
  for (const rule of rules) {
    await run(program, ['-w', '-I', chain, ...rule, ...MARKER, '-j', 'ACCEPT']);
  }
}

/** Removes our rules again, whatever the policy is by now. */
export async function leaveForeignFirewall(): Promise<void> {
  await leaveForeignChains();
  for (const program of PROGRAMS) {
    for (const chain of ['FORWARD', 'INPUT']) {
      await removeFrom(program, chain, (await listChain(program, chain)) ?? []);
    }
  }
}

async function removeFrom(
  program: Program,
  chain: string,
  present: readonly string[],
): Promise<void> {
  for (const rule of ourRules(present)) {
    const [, , ...match] = rule.split(' ');
    await run(program, ['-w', '-D', chain, ...match]);
  }
}

function ourRules(present: readonly string[]): string[] {
  return present.filter((line) => line.includes('--comment swarmd '));
}

/** The chain as iptables -S prints it; undefined when iptables is missing or has no such chain. */
async function listChain(program: Program, chain: string): Promise<string[] | undefined> {
  try {
    const { stdout, code } = await run(program, ['-w', '-S', chain], { okCodes: [0, 1, 3, 4] });
    return code === 0 ? stdout.split('\n') : undefined;
  } catch (error) {
    if (isMissingProgram(error)) return undefined;
    throw error;
  }
}

function isMissingProgram(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}
