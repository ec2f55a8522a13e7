/** /etc/hosts, /etc/resolv.conf and /etc/hostname of a container. Pure. */
import type { ContainerRequest } from '../types.ts';

const LOCAL_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

export function hostsFile(request: ContainerRequest): string {
  const own = request.addresses.map(
    (address) => `${address.replace(/\/.*$/, '')}\t${request.hostname}`,
  );
  return `${[...LOCAL_HOSTS, ...own, ...request.spec.hosts].join('\n')}\n`;
}

export function resolvConf({ resolver }: ContainerRequest): string {
  const { nameservers, search, options } = resolver;
  return `${[
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ].join('\n')}\n`;
}

export function hostnameFile(request: ContainerRequest): string {
  return `${request.hostname}\n`;
}
