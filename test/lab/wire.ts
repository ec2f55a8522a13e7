/** What nodes of the lab send each other: a capture of whole packets on the switch. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';

import { lab, sh, until } from './support.ts';

/** https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/: a header, and one before each packet. */
const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const IPV4 = 0x08_00;
const UDP = 17;
const ESP = 50;
const UDP_BYTES = 8;
const VXLAN_PORT = 4_789;
/** Of encrypted networks: within ESP nobody can see it. */
const SEALED_PORT = 4_790;
/** More than a frame of the wire; of several that are handed over as one, the beginning. */
const SNAP_BYTES = 4_096;
/** What the kernel keeps for the one who captures. */
const BUFFER_KIB = 65_536;

/** Packets from node to node. */
export class Seen {
  /** Sealed ones. */
  esp = 0;
  /** VXLAN of encrypted networks that is not sealed. */
  clear = 0;
  /** VXLAN of others, by network. */
  readonly vnis = new Map<number, number>();
  readonly #packets: Buffer[] = [];

  constructor(file: Buffer) {
    const nodes = new Set(lab.nodes.map(({ place }) => place.address));
    for (let at = FILE_HEADER_BYTES; at + PACKET_HEADER_BYTES <= file.length;) {
      const length = file.readUInt32LE(at + 8);
      const start = at + PACKET_HEADER_BYTES;
      at = start + length;
      const frame = file.subarray(start, at);
      if (frame.readUInt16BE(ETHERNET_BYTES - 2) !== IPV4) continue;
      const packet = frame.subarray(ETHERNET_BYTES);
      const [from, to] = [12, 16].map((offset) => packet.subarray(offset, offset + 4).join('.'));
      if (nodes.has(from ?? '') && nodes.has(to ?? '')) this.#add(packet);
    }
  }

  #add(packet: Buffer): void {
    this.#packets.push(packet);
    const [protocol, header] = [packet.readUInt8(9), (packet.readUInt8(0) & 15) * 4];
    if (protocol === ESP) this.esp += 1;
    if (protocol !== UDP) return;
    const port = packet.readUInt16BE(header + 2);
    if (port === SEALED_PORT) this.clear += 1;
    if (port !== VXLAN_PORT) return;
    const vni = packet.readUIntBE(header + UDP_BYTES + 4, 3);
    this.vnis.set(vni, (this.vnis.get(vni) ?? 0) + 1);
  }

  /** Whether any of them can be read to hold this. */
  tells(text: string): boolean {
    return this.#packets.some((packet) => packet.includes(text));
  }
}

export class Capture implements AsyncDisposable {
  readonly #file = `${lab.layout.stateDir}/capture-${randomBytes(6).toString('hex')}`;
  readonly #tcpdump: ChildProcess;
  #said = '';

  private constructor() {
    const inSwitch = `--net=/run/netns/${lab.layout.switchNetns}`;
    // Every packet at once, not blocks of them.
    const atOnce = ['--immediate-mode', '-U', '-s', String(SNAP_BYTES), '-B', String(BUFFER_KIB)];
    const how = ['-i', 'br0', '-Z', 'root', ...atOnce, '-w', this.#file];
    this.#tcpdump = spawn('nsenter', [inSwitch, 'tcpdump', ...how, 'ip'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#tcpdump.stderr?.on('data', (data: Buffer) => (this.#said += data.toString()));
    this.#tcpdump.on('error', (error) => (this.#said += error.message));
  }

  /** From now on everything is seen. */
  static async start(): Promise<Capture> {
    const capture = new Capture();
    await until('the capture to begin', () => /listening on/.test(capture.#said) || undefined);
    return capture;
  }

  /** @returns what was seen; nothing that was sent until now is missing, or it throws. */
  async stop(): Promise<Seen> {
    const mark = randomBytes(16);
    await until('the capture to have seen what was sent', async () => {
      if (this.#hasEnded()) throw new Error(`the capture ended by itself: ${this.#said}`);
      await sh(
        lab.host('m1'),
        `ping -q -c1 -W1 -p ${mark.toString('hex')} ${lab.registry.place.address}`,
      );
      return (existsSync(this.#file) && readFileSync(this.#file).includes(mark)) || undefined;
    });
    await this.#end();
    if (!/\b0 packets dropped by kernel/.test(this.#said))
      throw new Error(`the capture is not whole: ${this.#said}`);
    const seen = new Seen(readFileSync(this.#file));
    rmSync(this.#file, { force: true });
    return seen;
  }

  #hasEnded(): boolean {
    return this.#tcpdump.exitCode !== null || this.#tcpdump.signalCode !== null;
  }

  async #end(): Promise<void> {
    if (this.#hasEnded()) return;
    const ended = once(this.#tcpdump, 'close');
    this.#tcpdump.kill('SIGINT');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    rmSync(this.#file, { force: true });
  }
}
