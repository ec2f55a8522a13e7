/**
 * The network between the hosts: one bridge in a namespace of its own, which is also the router to
 * the outside client. Every link is made inside the lab's namespaces; the machine's own interfaces
 * and routes are never touched.
 */
import { run } from '@swarmd/base/system';

import { ROUTER_OUTSIDE, SWITCH, type HostPlace, type Layout } from './layout.ts';

async function namespaceExists(name: string): Promise<boolean> {
  const { stdout } = await run('ip', ['netns', 'list']);
  return stdout.split('\n').some((line) => line.split(' ')[0] === name);
}

async function batch(netns: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Makes the switch unless it is there. */
export async function ensureSwitch(layout: Layout): Promise<void> {
  const netns = layout.switchNetns;
  if (await namespaceExists(netns)) return;
  await run('ip', ['netns', 'add', netns]);
  await batch(netns, [
    'link set lo up',
    'link add br0 type bridge',
    'link set br0 up',
    ...addAddresses(SWITCH, 'br0'),
  ]);
  // Bridged packets must not pass the machine-wide firewall hooks; the files exist only with br_netfilter.
  await run('ip', [
    'netns',
    'exec',
    netns,
    'sh',
    '-c',
    'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; for f in iptables ip6tables arptables; do sysctl -qew net.bridge.bridge-nf-call-$f=0; done',
  ]);
}

/** Gives a host a fresh network namespace with one cable to the switch (the client: to the router). */
export async function plug(layout: Layout, host: HostPlace): Promise<void> {
  await unplug(layout, host);
  await run('ip', ['netns', 'add', host.netns]);
  const port = layout.port(host.name);
  const gateway = host.role === 'client' ? ROUTER_OUTSIDE : SWITCH;
  await batch(layout.switchNetns, [
    `link add ${port} type veth peer name eth0 netns ${host.netns}`,
    ...(host.role === 'client' ? addAddresses(gateway, port) : [`link set ${port} master br0`]),
    `link set ${port} up`,
  ]);
  await batch(host.netns, [
    'link set lo up',
    ...addAddresses(host, 'eth0'),
    'link set eth0 up',
    `route add default via ${gateway.address}`,
    `route add default via ${gateway.address6} dev eth0`,
  ]);
}

/** Nobody else has them: no need to ask around first. */
function addAddresses(of: Pick<HostPlace, 'address' | 'address6'>, device: string): string[] {
  return [
    `addr add ${of.address}/24 dev ${device}`,
    `addr add ${of.address6}/64 dev ${device} nodad`,
  ];
}

/** Removes a host's namespace, and with it every device in it. */
export async function unplug(layout: Layout, host: HostPlace): Promise<void> {
  if (!(await namespaceExists(host.netns))) return;
  await run('ip', ['-n', layout.switchNetns, 'link', 'del', layout.port(host.name)], {
    okCodes: [0, 1],
  });
  await run('ip', ['netns', 'del', host.netns]);
}

/** Pulls or plugs the cable at the switch: the host sees its carrier go, nothing else. */
export async function setCable(
  layout: Layout,
  host: HostPlace,
  state: 'up' | 'down',
): Promise<void> {
  await run('ip', ['-n', layout.switchNetns, 'link', 'set', layout.port(host.name), state]);
}

/** Names of all namespaces that belong to this lab, also those of an earlier, larger one. */
export async function labNamespaces(layout: Layout): Promise<string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.filter((name) => name.startsWith(layout.netns('')));
}
