/** What is made once per host, and the way back to a host without us. */
import { rm } from 'node:fs/promises';

import { errorMessage, type Logger } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { diffObjects } from '../desired/diff-objects.ts';
import { GATEWAY_LINK_PREFIX, HOST_NETNS, OVERLAY_NETNS, taskOfNetns } from '../desired/names.ts';
import { hostFamilies } from '../desired/host-program.ts';
import { tableOf } from '../desired/nft-program.ts';
import type { Step } from '../desired/step.ts';
import { leaveForeignFirewall } from './firewall.ts';
import { forwardIpv4, restoreForwarding } from './forwarding.ts';
import { runSteps } from './kernel.ts';
import { listJson, listNetns } from './listing.ts';
import { observe, type LinkRow } from './observe.ts';

/**
 * The overlay namespace works on frames only: with bridge-nf-call on, the connections of networks
 * with equal subnets would meet in one table; and it needs no addresses of its own.
 */
const OVERLAY_SYSCTLS = [
  'net/bridge/bridge-nf-call-iptables?=0',
  'net/bridge/bridge-nf-call-ip6tables?=0',
  'net/bridge/bridge-nf-call-arptables?=0',
  // Its bridges answer for IPv6 neighbours, but have no addresses, not even link-local ones.
  'net/ipv6/conf/all/addr_gen_mode?=1',
  'net/ipv6/conf/default/addr_gen_mode?=1',
  'net/ipv6/conf/default/accept_ra?=0',
  'net/ipv6/conf/all/disable_ipv6?=0',
  'net/ipv6/conf/default/disable_ipv6?=0',
];

/** By their marks, of both families; those that came through other nodes have zones, too. */
const MESH_CONNECTIONS = ['', '-f ipv6 '].flatMap((family) =>
  ['0x5a000000', '0x5b000000'].map((mark) => `-D ${family}-m ${mark}/0xff000000`),
);

export async function prepareHost(folder: string): Promise<void> {
  const steps: Step[] = [];
  await forwardIpv4(folder);
  if (!(await listNetns()).includes(OVERLAY_NETNS)) {
    steps.push({ kind: 'add-netns', name: OVERLAY_NETNS });
  }
  steps.push({ kind: 'sysctl', netns: OVERLAY_NETNS, lines: OVERLAY_SYSCTLS });
  await runSteps(steps);
}

/** Removes all that carries one of our names, in whatever state it is. Goes on after failures. */
export async function clearHost(folder: string, logger: Logger): Promise<void> {
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => {
      logger.warn({ error: errorMessage(error) }, `removing ${what} failed`);
    });
  };
  const namespaces = await listNetns();
  for (const name of namespaces.filter((one) => taskOfNetns(one) !== undefined)) {
    await attempt(`namespace ${name}`, () => runSteps([{ kind: 'delete-netns', name }]));
  }
  if (namespaces.includes(OVERLAY_NETNS)) {
    await attempt('links, routes and rules', async () => {
      await runSteps(diffObjects(await observe(), new Map()));
    });
    await attempt(`namespace ${OVERLAY_NETNS}`, () =>
      runSteps([{ kind: 'delete-netns', name: OVERLAY_NETNS }]),
    );
  }
  if (namespaces.includes(HOST_NETNS)) {
    await attempt(`the name ${HOST_NETNS}`, () =>
      runSteps([{ kind: 'delete-netns', name: HOST_NETNS }]),
    );
  }
  await attempt('gateway links', deleteGatewayLinks);
  for (const family of hostFamilies(true)) {
    const table = tableOf({ family });
    const text = `add table ${table}\ndelete table ${table}\n`;
    await attempt(`nft table ${table}`, () => runSteps([{ kind: 'nft', text }]));
  }
  await attempt('connections of the mesh', () =>
    runSteps([{ kind: 'forget-connections', lines: MESH_CONNECTIONS }]),
  );
  await attempt('iptables rules', leaveForeignFirewall);
  await attempt('the settings of forwarding', () => restoreForwarding(folder));
  await rm(folder, { recursive: true, force: true });
}

/** The kernel removes them some time after their containers' namespaces; we want them gone now. */
async function deleteGatewayLinks(): Promise<void> {
  const links = await listJson<LinkRow>('ip', ['link', 'show', 'type', 'veth']);
  for (const { ifname } of links) {
    if (!ifname.startsWith(GATEWAY_LINK_PREFIX)) continue;
    // Exit code 1: it went meanwhile.
    await run('ip', ['link', 'del', ifname], { okCodes: [0, 1] });
  }
}
