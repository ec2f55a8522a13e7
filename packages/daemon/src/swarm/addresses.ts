/** Which addresses a machine uses in its cluster: said by the request, by swarmd's settings, or plain. */
import { networkInterfaces } from 'node:os';

import { SwarmError } from '@swarmd/base';

import { canonicalIpv6 } from '@swarmd/model';

import type { Membership } from '../identity/identity.ts';
import { DEFAULT_PORT } from '../limits.ts';
import { checkAdvertise, parseHostPort, type HostPort, type Settings } from '../config/settings.ts';

export interface Addresses {
  /** host:port that other nodes use. */
  readonly advertise: string;
  /** host:port to listen on. */
  readonly listen: string;
  /** For the traffic between containers, if that is another. */
  readonly dataPath?: string;
  /** As swarmd was told, if it was. */
  readonly configuredAdvertise?: string;
}

/** What the user asks for; empty where it is to be chosen. */
export interface AddressRequest {
  readonly advertiseAddress: string;
  readonly listenAddress: string;
  readonly dataPathAddress: string;
}

/** @throws SwarmError `invalid-argument` when an address is malformed or has to be chosen by the user. */
export function chooseAddresses(
  request: AddressRequest,
  settings: Settings,
  own: readonly string[] = ownAddresses(),
): Addresses {
  const listen =
    request.listenAddress === ''
      ? settings.listen
      : parseHostPort(request.listenAddress, {
          what: 'listen address',
          defaultPort: settings.listen.port,
        });
  const wanted = request.advertiseAddress || settings.advertiseAddr;
  const plain = (): string => (listen.host === '0.0.0.0' ? only(own) : listen.host);
  const advertise = parseHostPort(checkAdvertise(wanted ?? plain()), {
    what: 'advertised address',
    defaultPort: listen.port,
  });
  return {
    advertise: `${advertise.host}:${advertise.port}`,
    listen: `${listen.host}:${listen.port}`,
    ...dataPathOf(request.dataPathAddress),
    ...(settings.advertiseAddr === undefined
      ? {}
      : { configuredAdvertise: settings.advertiseAddr }),
  };
}

/**
 * The kernel's VXLAN sends from it, so an interface must have it.
 * @throws SwarmError `invalid-argument` for what is no such address.
 */
export function dataPathOf(
  text: string,
  own: readonly string[] = tunnelAddresses(),
): { dataPath?: string } {
  if (text === '') return {};
  const address = canonicalIpv6(text) ?? text;
  if (own.includes(address)) return { dataPath: address };
  throw new SwarmError(
    'invalid-argument',
    `the data path address "${text}" must be an address that an interface of this machine has: ${own.join(', ')}`,
  );
}

/** Of both families, those that others may reach this machine at. */
function tunnelAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((one) => !one.internal && !one.address.startsWith('fe80:'))
    .map((one) => one.address);
}

/**
 * The membership at the addresses that are asked for; those that are not stay.
 * @throws SwarmError `invalid-argument` for one that is malformed or not this machine's.
 */
export function withAddresses(
  membership: Membership,
  { advertiseAddress, listenAddress, dataPathAddress }: AddressRequest,
  own: readonly string[] = tunnelAddresses(),
): Membership {
  const moved = (now: string, wanted: string, what: string): string => {
    if (wanted === '') return now;
    const { port: defaultPort } = parseHostPort(now, { what, defaultPort: DEFAULT_PORT });
    const { host, port } = parseHostPort(wanted, { what, defaultPort });
    return `${host}:${port}`;
  };
  const advertise = advertiseAddress === '' ? '' : checkAdvertise(advertiseAddress);
  return {
    ...membership,
    advertise: moved(membership.advertise, advertise, 'advertised address'),
    listen: moved(membership.listen, listenAddress, 'listen address'),
    ...dataPathOf(dataPathAddress, own),
  };
}

/** Whether others reach the machine elsewhere than before. */
export function hasMoved(before: Membership, now: Membership): boolean {
  return (
    before.advertise !== now.advertise ||
    before.listen !== now.listen ||
    before.dataPath !== now.dataPath
  );
}

/** The membership at the address that swarmd is told now, when that is another than before. */
export function followAdvertise(membership: Membership, settings: Settings): Membership {
  const { advertiseAddr } = settings;
  if (advertiseAddr === undefined || advertiseAddr === membership.configuredAdvertise) {
    return membership;
  }
  const { port } = parseHostPort(membership.advertise, {
    what: 'address',
    defaultPort: settings.listen.port,
  });
  const wanted = parseHostPort(advertiseAddr, { what: 'advertised address', defaultPort: port });
  const advertise = `${wanted.host}:${wanted.port}`;
  return { ...membership, advertise, configuredAdvertise: advertiseAddr };
}

function only(own: readonly string[]): string {
  const [address, ...others] = own;
  if (address !== undefined && others.length === 0) return address;
  const which = address === undefined ? 'has no address' : `has several (${own.join(', ')})`;
  throw new SwarmError(
    'invalid-argument',
    `say --advertise-addr: this machine ${which}, and other machines must reach it at one`,
  );
}

/** IPv4 addresses other machines may know this one by. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}

/** Of an address as it is kept with the membership. */
export function parseAddress(text: string): HostPort {
  return parseHostPort(text, { what: 'address', defaultPort: DEFAULT_PORT });
}
