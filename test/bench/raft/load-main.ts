/** A process of clients: writes as fast as it is answered, then says how long that took. */
import { quantile } from '../statistics.ts';
import { WARM_UP_MAX_MS, type LoadOrder, type LoadResult, type TraceLine } from './load.ts';
import { openWriter } from './writers.ts';

const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
const value = Buffer.alloc(order.valueBytes, 'v');
const opened = performance.now();
/** When measuring began; infinite during the warm-up. */
let begin = Infinity;
let warmedUp = 0;
let processor = process.cpuUsage();
const latencies: number[] = [];
let errors = 0;

function warmUp(): void {
  if (begin < Infinity) return;
  const now = performance.now();
  if (warmedUp >= order.warmupWrites) {
    begin = now;
    processor = process.cpuUsage();
  } else if (now - opened > WARM_UP_MAX_MS)
    throw new Error(`${warmedUp} of ${order.warmupWrites} warm-up writes in ${WARM_UP_MAX_MS} ms`);
}

async function client(number: number): Promise<void> {
  const writer = openWriter(order.target, {
    prefix: `${order.prefix}-${number}`,
    value,
    timeoutMs: order.timeoutMs,
  });
  for (let n = 0; ; n += 1) {
    warmUp();
    const start = performance.now();
    if (start >= begin + order.measureMs) return;
    const began = Date.now();
    let ok = true;
    try {
      await writer.write(n);
    } catch {
      ok = false; // counted below: after a lost leader nothing else is to be expected
    }
    const stop = performance.now();
    if (order.trace) print({ began, ended: Date.now(), ok });
    if (start < begin) {
      if (ok) warmedUp += 1;
      continue;
    }
    if (ok) latencies.push(stop - start);
    else errors += 1;
  }
}

function print(line: TraceLine | LoadResult): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await Promise.all(Array.from({ length: order.clients }, (_, number) => client(number)));
const { user, system } = process.cpuUsage(processor);
print({
  writes: latencies.length,
  allWrites: warmedUp + latencies.length,
  clientMicroseconds: Math.round((user + system) / latencies.length),
  errors,
  seconds: order.measureMs / 1000,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  max: Math.max(0, ...latencies.slice(0, 100_000)),
});
process.exit(0);
