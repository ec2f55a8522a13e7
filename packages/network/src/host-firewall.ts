/** The host's nft table in the kernel: one writer, incremental, whole when in doubt. */
import { encryptedVxlanPort, type PublishedPort } from '@swarmd/model';
import { run } from '@swarmd/base/system';

import { Coalescer } from './apply/coalescer.ts';
import { runSteps } from './apply/kernel.ts';
import { isInternal, type AttachmentNote } from './desired/attachment.ts';
import { meshAddress } from './desired/family.ts';
import { hostPrograms } from './desired/host-program.ts';
import { lacksRules } from './desired/lacks-rules.ts';
import { diffProgram, replaceProgram, tableOf, type NftProgram } from './desired/nft-program.ts';
import { keyOf } from './desired/published-ports.ts';
import type { StateIndex } from './desired/state-index.ts';

/** Cluster API, Raft, agents: see ARCHITECTURE.md. */
const CONTROL_PORTS = [4_242, 4_243, 4_244];

export interface HostFirewallOptions {
  readonly wanted: () => StateIndex | undefined;
  readonly tasks: () => Iterable<AttachmentNote>;
  readonly controlPorts: readonly number[] | undefined;
  /** Whether this host's part of the mesh has both families. */
  readonly ipv6: () => boolean;
  readonly canEncrypt: boolean;
}

export class HostFirewall {
  readonly #options: HostFirewallOptions;
  readonly #sync = new Coalescer(() => this.#program());
  /** What the tables hold; undefined when that is not known. */
  #programmed:
    | { readonly programs: readonly NftProgram[]; readonly ports: readonly PublishedPort[] }
    | undefined;

  constructor(options: HostFirewallOptions) {
    this.#options = options;
  }

  /** Brings the table to the newest state and containers. */
  sync(): Promise<void> {
    return this.#sync.request();
  }

  /** The next sync replaces the whole table. Established connections live on. */
  distrust(): void {
    this.#programmed = undefined;
  }

  /** Puts back what somebody flushed: tables, or rules of them. */
  async check(): Promise<void> {
    if (this.#options.wanted() === undefined) return;
    const programmed = this.#programmed;
    const listings = await Promise.all((programmed?.programs ?? []).map(listTable));
    // What was programmed meanwhile was not listed.
    if (programmed !== this.#programmed) return;
    const isWhole = programmed?.programs.every((one, at) => !lacksRules(listings[at] ?? '', one));
    if (isWhole === true) return;
    this.distrust();
    await this.sync();
  }

  programsFor(index: StateIndex): NftProgram[] {
    const { self, peers, nodes, vxlanPort, ports } = index.state;
    const internal = [...this.#options.tasks()]
      .filter(isInternal)
      .map((note) => note.gatewayAddress);
    const controlPorts = this.#options.controlPorts ?? CONTROL_PORTS;
    const ipv6 = this.#options.ipv6();
    const sealedPort = this.#options.canEncrypt ? encryptedVxlanPort(vxlanPort) : undefined;
    const tunnels = { vxlanPort, sealedPort };
    return hostPrograms({ self, peers, nodes, ...tunnels, ports, internal, controlPorts, ipv6 });
  }

  async #program(): Promise<void> {
    const index = this.#options.wanted();
    if (index === undefined) return;
    const { ports } = index.state;
    const programs = this.programsFor(index);
    const before = this.#programmed;
    const text = programs
      .map((program, at) => {
        const known = before?.programs[at];
        return known === undefined ? replaceProgram(program) : diffProgram(known, program);
      })
      .join('');
    this.#programmed = undefined;
    if (text !== '') await runSteps([{ kind: 'nft', text }]);
    const lines = departedUdpBackends(before?.ports ?? [], ports);
    if (lines.length > 0) await runSteps([{ kind: 'forget-connections', lines }]);
    this.#programmed = { programs, ports };
  }
}

/** Empty when there is none. Without the elements of its sets. */
async function listTable(program: NftProgram): Promise<string> {
  const words = ['-t', '-s', 'list', 'table', ...tableOf(program).split(' ')];
  return (await run('nft', words, { okCodes: [0, 1] })).stdout;
}

/**
 * A UDP client that keeps its port would stay with a backend that left for as long as it sends.
 * (TCP needs nothing: connections end with their task, whose node answers with a reset.)
 */
function departedUdpBackends(
  before: readonly PublishedPort[],
  next: readonly PublishedPort[],
): string[] {
  const current = new Map(next.map((port) => [keyOf(port), port]));
  return before
    .filter(({ protocol }) => protocol === 'udp')
    .flatMap((port) => {
      const { publishedPort, backends } = port;
      const staying = new Set(current.get(keyOf(port))?.backends);
      return backends
        .filter((backend) => !staying.has(backend))
        .flatMap((backend) => [
          `-D -p udp --orig-port-dst ${publishedPort} --reply-src ${backend}`,
          ...(port.backends6.includes(backend)
            ? [
                `-D -f ipv6 -p udp --orig-port-dst ${publishedPort} --reply-src ${meshAddress('ip6', backend)}`,
              ]
            : []),
        ]);
    });
}
