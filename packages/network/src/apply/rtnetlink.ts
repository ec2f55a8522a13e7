/**
 * Lines of ip(8) and bridge(8) as the messages that they would send (rtnetlink(7)): those that a container's
 * network is made of, and those that endpoints elsewhere are. Only the kernel knows the indexes of devices, and only the worker has descriptors of namespaces:
 * they are put in at the moment of sending.
 */
import { groupsOf } from '../desired/ipv6.ts';
import { MessageWriter, type LinkMessage } from './netlink-message.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
/** NLM_F_CREATE | NLM_F_EXCL, as "add"; NLM_F_CREATE | NLM_F_REPLACE, as "replace". */
const FLAGS: Readonly<Record<string, number>> = { add: 0x600, replace: 0x500, set: 0, del: 0 };

const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  info: 18,
  inFamily: 26,
  netns: 28,
} as const;
const INFO_KIND = 1;
const INFO_DATA = 2;
const VETH_PEER = 1;
const MACVLAN_MODE = 1;
const MACVLAN_MODES: Readonly<Record<string, number>> = { private: 1, vepa: 2, bridge: 4 };
const INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_MODE_NONE = 1;
const IFF_UP = 1;
const [AF_INET, AF_BRIDGE, AF_INET6] = [2, 7, 10];
const IFA = { address: 1, local: 2 } as const;
const IFA_F_NODAD = 2;
const NDA = { address: 1, mac: 2 } as const;
const NUD_PERMANENT = 0x80;
/** NUD_REACHABLE | NUD_NOARP: what bridge(8) calls static. */
const NUD_STATIC = 0x42;
const NTF = { self: 2, master: 4 } as const;
const RTA = { to: 1, device: 4, gateway: 5, metric: 6, source: 7 } as const;
const TABLES: Readonly<Record<string, number>> = { main: 254, local: 255 };
const PROTOCOL_BOOT = 3;
const TYPE = { unicast: 1, local: 2 } as const;
const SCOPE = { universe: 0, link: 253, host: 254 } as const;

/** The message that removes a link. */
export function removalMessage(name: string): LinkMessage {
  const message = new MessageWriter(RTM_DELLINK, 0);
  writeLink(message, { name });
  return message.done();
}

/** The message of a line like "link set lo up"; undefined when it is none of those known here. */
export function linkMessage(line: string): LinkMessage | undefined {
  const [object = '', verb = '', ...rest] = line.split(' ');
  const flags = FLAGS[verb];
  if (flags === undefined) return undefined;
  switch (`${object} ${verb}`) {
    case 'link add':
      return addLink(rest, flags);
    case 'link set':
      return setLink(rest, flags);
    case 'addr add':
      return addAddress(rest, flags);
    case 'neigh replace':
      return putNeighbour(rest, flags);
    case 'neigh del':
      return deleteNeighbour(rest);
    case 'fdb replace':
      return forwardingEntry(RTM_NEWNEIGH, rest, flags);
    case 'fdb del':
      return forwardingEntry(RTM_DELNEIGH, rest, flags);
    case 'route add':
    case 'route replace':
      return putRoute(rest, flags);
    default:
      return undefined;
  }
}

type Words = Readonly<Record<string, string | undefined>>;

/** "mtu 1450 up" -> { mtu: '1450', up: '' }; undefined when there is another word than those given. */
function wordsOf(
  words: readonly string[],
  { valued, alone = [] }: { valued: readonly string[]; alone?: readonly string[] },
): Words | undefined {
  const found: Record<string, string> = {};
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (alone.includes(word)) found[word] = '';
    else if (valued.includes(word)) found[word] = words[(at += 1)] ?? '';
    else return undefined;
  }
  return found;
}

const LINK_WORDS = { valued: ['name', 'mtu', 'address', 'master', 'netns', 'link'], alone: ['up'] };

/** A veth with its peer, or a macvlan. */
function addLink(words: readonly string[], flags: number): LinkMessage | undefined {
  const type = words.indexOf('type');
  if (type < 0) return undefined;
  const [kind = '', what, ...more] = words.slice(type + 1);
  const own = words.slice(0, type);
  const isNamed = LINK_WORDS.valued.includes(own[0] ?? '');
  const link = wordsOf(isNamed ? own : ['name', ...own], LINK_WORDS);
  const message = new MessageWriter(RTM_NEWLINK, flags);
  if (link === undefined) return undefined;
  if (kind === 'veth' && what === 'peer') {
    const peer = wordsOf(more, LINK_WORDS);
    if (peer === undefined) return undefined;
    writeLink(message, link);
    return writeKind(message, kind, () =>
      message.attribute(VETH_PEER, () => writeLink(message, peer)),
    );
  }
  const mode = MACVLAN_MODES[more[0] ?? ''];
  if (kind !== 'macvlan' || what !== 'mode' || mode === undefined || more.length > 1) {
    return undefined;
  }
  writeLink(message, link);
  return writeKind(message, kind, () => message.number(MACVLAN_MODE, mode));
}

function writeKind(message: MessageWriter, kind: string, write: () => void): LinkMessage {
  return message
    .attribute(IFLA.info, () => message.text(INFO_KIND, kind).attribute(INFO_DATA, write))
    .done();
}

/** struct ifinfomsg and attributes; what it is called must be given. */
function writeLink(message: MessageWriter, link: Words): void {
  const up = link['up'] === undefined ? 0 : IFF_UP;
  message.bytes(0, 0).u16(0).u32(0).u32(up).u32(up);
  message.text(IFLA.name, link['name'] ?? '');
  const { mtu, address, master, netns, link: parent } = link;
  if (mtu !== undefined) message.number(IFLA.mtu, Number(mtu));
  if (address !== undefined)
    message.attribute(IFLA.address, () => message.bytes(...macOf(address)));
  if (parent !== undefined) message.attribute(IFLA.link, () => message.fill('link', parent));
  if (netns !== undefined) message.attribute(IFLA.netns, () => message.fill('netns', netns));
  if (master === undefined) return;
  // "if17" is the device with that index.
  const index = /^if(\d+)$/.exec(master)?.[1];
  message.attribute(IFLA.master, () =>
    index === undefined ? message.fill('link', master) : message.u32(Number(index)),
  );
}

function setLink([name = '', ...words]: readonly string[], flags: number): LinkMessage | undefined {
  const set = wordsOf(words, { valued: ['addrgenmode'], alone: ['up'] });
  const mode = set?.['addrgenmode'];
  if (set === undefined || (mode !== undefined && mode !== 'none')) return undefined;
  const message = new MessageWriter(RTM_NEWLINK, flags);
  writeLink(message, { name, ...set });
  if (mode !== undefined) {
    message.attribute(IFLA.inFamily, () =>
      message.attribute(AF_INET6, () =>
        message.attribute(INET6_ADDR_GEN_MODE, () => message.bytes(ADDR_GEN_MODE_NONE)),
      ),
    );
  }
  return message.done();
}

function addAddress(
  [prefix = '', ...words]: readonly string[],
  flags: number,
): LinkMessage | undefined {
  const { dev, nodad } = wordsOf(words, { valued: ['dev'], alone: ['nodad'] }) ?? {};
  const to = prefixOf(prefix);
  if (dev === undefined || to === undefined) return undefined;
  const { family, address, length } = to;
  const message = new MessageWriter(RTM_NEWADDR, flags);
  message.bytes(family, length, nodad === undefined ? 0 : IFA_F_NODAD, SCOPE.universe);
  message.fill('link', dev);
  const write = (): void => void message.bytes(...address);
  return message.attribute(IFA.local, write).attribute(IFA.address, write).done();
}

function putNeighbour(
  [to = '', ...words]: readonly string[],
  flags: number,
): LinkMessage | undefined {
  const { dev, lladdr, nud } = wordsOf(words, { valued: ['dev', 'lladdr', 'nud'] }) ?? {};
  const address = prefixOf(to);
  if (dev === undefined || lladdr === undefined || nud !== 'permanent' || address === undefined) {
    return undefined;
  }
  const message = new MessageWriter(RTM_NEWNEIGH, flags);
  message.bytes(address.family, 0, 0, 0).fill('link', dev).u16(NUD_PERMANENT).bytes(0, 0);
  message.attribute(NDA.address, () => message.bytes(...address.address));
  return message.attribute(NDA.mac, () => message.bytes(...macOf(lladdr))).done();
}

function deleteNeighbour([to = '', ...words]: readonly string[]): LinkMessage | undefined {
  const { dev } = wordsOf(words, { valued: ['dev'] }) ?? {};
  const address = prefixOf(to);
  if (dev === undefined || address === undefined) return undefined;
  const message = new MessageWriter(RTM_DELNEIGH, 0);
  message.bytes(address.family, 0, 0, 0).fill('link', dev).u16(0).bytes(0, 0);
  return message.attribute(NDA.address, () => message.bytes(...address.address)).done();
}

const FORWARDING_WORDS = {
  valued: ['dev', 'dst'],
  alone: ['self', 'master', 'static', 'permanent'],
};

/** Of a bridge or of a VXLAN: "self" is the device's own table, "master" that of its bridge. */
function forwardingEntry(
  type: number,
  [mac = '', ...words]: readonly string[],
  flags: number,
): LinkMessage | undefined {
  const entry = wordsOf(words, FORWARDING_WORDS);
  if (entry?.['dev'] === undefined) return undefined;
  const { dev, dst, self, master } = entry;
  const to = dst === undefined ? undefined : prefixOf(dst);
  if (dst !== undefined && to === undefined) return undefined;
  const where = (self === undefined ? 0 : NTF.self) | (master === undefined ? 0 : NTF.master);
  const state = entry['static'] === undefined ? NUD_PERMANENT : NUD_STATIC;
  const message = new MessageWriter(type, flags);
  message.bytes(AF_BRIDGE, 0, 0, 0).fill('link', dev).u16(state).bytes(where, 0);
  message.attribute(NDA.mac, () => message.bytes(...macOf(mac)));
  if (to !== undefined) message.attribute(NDA.address, () => message.bytes(...to.address));
  return message.done();
}

const ROUTE_WORDS = { valued: ['dev', 'via', 'src', 'table', 'metric'] };

function putRoute(words: readonly string[], flags: number): LinkMessage | undefined {
  const isLocal = words[0] === 'local';
  const [prefix = '', ...rest] = isLocal ? words.slice(1) : words;
  const found = wordsOf(rest, ROUTE_WORDS);
  if (found?.['dev'] === undefined) return undefined;
  const { dev, via, src, table = isLocal ? 'local' : 'main', metric } = found;
  const gateway = via === undefined ? undefined : prefixOf(via);
  const source = src === undefined ? undefined : prefixOf(src);
  const to = prefixOf(prefix);
  const family = to?.family ?? gateway?.family;
  const tableId = TABLES[table];
  if (family === undefined || tableId === undefined) return undefined;
  if (to === undefined && prefix !== 'default') return undefined;
  const message = new MessageWriter(RTM_NEWROUTE, flags);
  const type = isLocal ? TYPE.local : TYPE.unicast;
  const scope = isLocal ? SCOPE.host : gateway === undefined ? SCOPE.link : SCOPE.universe;
  message.bytes(
    family,
    to?.length ?? 0,
    0,
    0,
    tableId,
    PROTOCOL_BOOT,
    scopeIn(family, scope),
    type,
  );
  message.u32(0);
  if (to !== undefined) message.attribute(RTA.to, () => message.bytes(...to.address));
  if (gateway !== undefined)
    message.attribute(RTA.gateway, () => message.bytes(...gateway.address));
  if (source !== undefined) message.attribute(RTA.source, () => message.bytes(...source.address));
  message.attribute(RTA.device, () => message.fill('link', dev));
  if (metric !== undefined) message.number(RTA.metric, Number(metric));
  return message.done();
}

/** IPv6 has no scopes of routes. */
function scopeIn(family: number, scope: number): number {
  return family === AF_INET6 ? SCOPE.universe : scope;
}

/** An address with or without "/24"; undefined when it is none. */
function prefixOf(text: string): { family: number; address: number[]; length: number } | undefined {
  const [bare = '', length] = text.split('/');
  if (bare.includes(':')) {
    const address = groupsOf(bare).flatMap((group) => [group >> 8, group & 255]);
    return { family: AF_INET6, address, length: Number(length ?? 128) };
  }
  if (!/^\d+(\.\d+){3}$/.test(bare)) return undefined;
  return { family: AF_INET, address: bare.split('.').map(Number), length: Number(length ?? 32) };
}

function macOf(text: string): number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}
