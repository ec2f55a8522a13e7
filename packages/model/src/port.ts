/** Published ports: as people read them, and where they answer. */
import type { PortConfig } from './spec/service.ts';

/** "8080/tcp", or "127.0.0.1:8080/tcp" and "[::1]:8080/tcp" when it is bound to an address. */
export function portText({ address, publishedPort, protocol }: PortConfig): string {
  return `${address === '' ? '' : `${hostText(address)}:`}${publishedPort}/${protocol}`;
}

/** An address as it stands in front of a port. */
export function hostText(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** True when every node answers one of them. */
export function hasMeshPort(ports: readonly Pick<PortConfig, 'publishMode'>[]): boolean {
  return ports.some(({ publishMode }) => publishMode === 'ingress');
}
