/**
 * Constant load of GET requests until a file appears: http-load.ts OPTIONS-AS-JSON. Prints one JSON
 * object. A request fails when it is not answered with 200 in time. A request on a connection that
 * was used before and is closed before any answer is repeated once on a new one, as RFC 9112 (9.3.1)
 * lets every client do: the server may close an idle connection at any moment.
 */
import { Resolver } from 'node:dns/promises';
import { existsSync, writeFileSync } from 'node:fs';
import { Agent, get, type ClientRequest } from 'node:http';

export interface LoadOptions {
  /** Addresses or names; workers take them in turn. */
  readonly hosts: readonly string[];
  readonly port: number;
  /** Workers, each with at most one request under way. */
  readonly workers: number;
  /** Milliseconds between the starts of a worker's requests. */
  readonly periodMs: number;
  readonly keepAlive: boolean;
  /** Ask this name server for every new connection; otherwise hosts are addresses. */
  readonly nameserver?: string;
  readonly stopFile: string;
  /** Written when the first requests were answered. */
  readonly startFile: string;
}

export interface LoadResult {
  readonly requests: number;
  /** Repeated on a new connection. */
  readonly repeated: number;
  /** The first failures, as text with their time in milliseconds from the start. */
  readonly failures: readonly string[];
  readonly failed: number;
  readonly slowestMs: number;
}

const TIMEOUT_MS = 3_000;
const FAILURES_KEPT = 20;

class Stale extends Error {}

async function main(options: LoadOptions): Promise<LoadResult> {
  const result = { requests: 0, repeated: 0, failed: 0, failures: [] as string[], slowestMs: 0 };
  const began = performance.now();
  let hasStarted = false;
  const worker = async (number: number): Promise<void> => {
    const agent = new Agent({ keepAlive: options.keepAlive, maxSockets: 1 });
    const host = options.hosts[number % options.hosts.length] ?? '';
    let next = began + (options.periodMs * number) / options.workers;
    while (!existsSync(options.stopFile)) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
      next = Math.max(next + options.periodMs, performance.now());
      const start = performance.now();
      result.requests += 1;
      try {
        await request(agent, host).catch((error: unknown) => {
          if (!(error instanceof Stale)) throw error;
          result.repeated += 1;
          return request(agent, host);
        });
      } catch (error) {
        result.failed += 1;
        const text = `${Math.round(start - began)} ms: ${host}: ${String(error)}`;
        if (result.failures.length < FAILURES_KEPT) result.failures.push(text);
      }
      if (result.requests >= options.workers && !hasStarted) {
        hasStarted = true;
        writeFileSync(options.startFile, '');
      }
      result.slowestMs = Math.max(result.slowestMs, performance.now() - start);
    }
    agent.destroy();
  };

  const request = async (agent: Agent, host: string): Promise<void> => {
    const address =
      options.nameserver === undefined ? host : await lookUp(host, options.nameserver);
    await new Promise<void>((resolve, reject) => {
      const asked = get({ agent, host: address, port: options.port, timeout: TIMEOUT_MS });
      asked.on('timeout', () => asked.destroy(new Error(unanswered(asked))));
      asked.on('error', (error: NodeJS.ErrnoException) => {
        const stale = asked.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(error.code ?? '');
        reject(stale ? new Stale() : error);
      });
      asked.on('response', (response) => {
        response.on('error', reject);
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`${response.statusCode}`)),
        );
        response.resume();
      });
    });
  };

  await Promise.all(Array.from({ length: options.workers }, (_, number) => worker(number)));
  return result;
}

/** Tells a connection that was never made from an answer that never came. */
function unanswered({ socket, reusedSocket }: ClientRequest): string {
  if (socket === null || socket.connecting) return 'not connected in time';
  const { localPort, remoteAddress, bytesWritten, bytesRead } = socket;
  const way = `from port ${localPort} to ${remoteAddress}`;
  const first = reusedSocket ? 'used before' : 'new';
  return `no answer in time ${way} (${first}, ${bytesWritten} bytes sent, ${bytesRead} received)`;
}

async function lookUp(name: string, nameserver: string): Promise<string> {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 1 });
  resolver.setServers([nameserver]);
  const [address] = await resolver.resolve4(name);
  if (address === undefined) throw new Error(`no address for ${name}`);
  return address;
}

process.stdout.write(JSON.stringify(await main(JSON.parse(process.argv[2] ?? '') as LoadOptions)));
