/** Connections to servers of this thread, which gRPC ends only once they speak HTTP/2. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** https://nodejs.org/api/diagnostics_channel.html#event-netserversocket */
const ACCEPTED = 'net.server.socket';

export class InboundSockets implements Disposable {
  readonly #open = new Set<Socket>();
  readonly #onAccepted = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  };

  constructor() {
    subscribe(ACCEPTED, this.#onAccepted);
  }

  /** Ends all of them, whatever they have come to. */
  [Symbol.dispose](): void {
    unsubscribe(ACCEPTED, this.#onAccepted);
    for (const socket of this.#open) socket.destroy();
  }
}
