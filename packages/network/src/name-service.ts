/** The DNS server of this host and what it knows, following the newest state and containers. */
import { errorMessage, type Clock, type Logger } from '@swarmd/base';

import { isInternal, type AttachmentNote } from './desired/attachment.ts';
import type { StateIndex } from './desired/state-index.ts';
import { Directory, type DnsView } from './dns/directory.ts';
import { DnsServer, type DnsKnowledge } from './dns/server.ts';

const DNS_PORT = 53;

export interface NameServiceOptions {
  readonly wanted: () => StateIndex | undefined;
  readonly tasks: () => Iterable<AttachmentNote>;
  readonly dnsUpstreams?: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export class NameService implements AsyncDisposable {
  readonly #options: NameServiceOptions;
  #server: DnsServer | undefined;
  #directory: { readonly index: StateIndex; readonly directory: Directory } | undefined;
  #views: ReadonlyMap<string, DnsView> | undefined;
  #starting: Promise<void> = Promise.resolve();

  constructor(options: NameServiceOptions) {
    this.#options = options;
  }

  /** To be called when containers came or went. */
  forgetViews(): void {
    this.#views = undefined;
  }

  /**
   * Listens on the gateway address, again if it failed before. A failure is only reported: all but
   * names works without it.
   */
  update(gateway: string): Promise<void> {
    this.#starting = this.#starting.then(() => this.#listen(gateway));
    return this.#starting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starting;
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  async #listen(address: string): Promise<void> {
    if (this.#server?.address === address) return;
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
    const { clock, logger, dnsUpstreams } = this.#options;
    try {
      this.#server = await DnsServer.listen({
        address,
        port: DNS_PORT,
        knowledge: () => this.#knowledge(),
        upstreams: dnsUpstreams,
        clock,
        logger,
      });
    } catch (error) {
      const text = `no DNS for containers: cannot listen on ${address}:${DNS_PORT}; will try again`;
      logger.error({ error: errorMessage(error) }, text);
    }
  }

  #knowledge(): DnsKnowledge | undefined {
    const index = this.#options.wanted();
    if (index === undefined) return undefined;
    if (this.#directory?.index !== index) {
      this.#directory = { index, directory: new Directory(index) };
    }
    const views = (this.#views ??= this.#viewsOf());
    return {
      directory: this.#directory.directory,
      viewOf: (address) => views.get(address),
    };
  }

  #viewsOf(): ReadonlyMap<string, DnsView> {
    return new Map(
      [...this.#options.tasks()].map((note) => {
        const { gatewayAddress, upstreams } = note;
        const networks = note.networks.map(({ networkId }) => networkId);
        const own = upstreams === undefined ? {} : { upstreams };
        return [gatewayAddress, { networks, internal: isInternal(note), ...own }];
      }),
    );
  }
}
