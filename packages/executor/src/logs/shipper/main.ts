/** The thread that passes logs on: what it costs to format and send them is not the agent's time. */
import { hostname } from 'node:os';
import { parentPort } from 'node:worker_threads';

import { assert, errorMessage, unreachable } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';

import { JournaldSink } from './journald-sink.ts';
import { jsonFileFormat, localFormat } from './file-formats.ts';
import { FileSink } from './file-sink.ts';
import type { FromShipper, ShipJob, Sink, ToShipper } from './protocol.ts';
import { Shipment } from './shipment.ts';
import { SyslogSink } from './syslog-sink.ts';

const port = parentPort;
assert(port !== null, 'the thread that passes logs on is started by the executor');
const tell = (message: FromShipper): void => port.postMessage(message);
const shipments = new Map<string, { shipment: Shipment; stop: AbortController }>();

async function openSink(
  job: ShipJob,
  place: { readonly generation: number; readonly size: number } | undefined,
): Promise<Sink> {
  const { plan, attributes } = job;
  if (plan.files !== undefined) {
    const onTrouble = (error: unknown): void =>
      tell({ kind: 'trouble', id: job.id, message: errorMessage(error) });
    const format = plan.driver === 'json-file' ? jsonFileFormat(attributes) : localFormat();
    return FileSink.open(job.target, { bounds: plan.files, format, place, onTrouble });
  }
  if (plan.syslog === undefined) return new JournaldSink(job, systemClock);
  const { tag = '' } = attributes;
  const source = { target: plan.syslog, tag, hostname: hostname(), pid: process.pid };
  return new SyslogSink(source, systemClock);
}

function begin(job: ShipJob): void {
  if (shipments.has(job.id)) return;
  const stop = new AbortController();
  const deps = { clock: systemClock, random: systemRandom, tell, openSink };
  const shipment = new Shipment(job, deps);
  shipments.set(job.id, { shipment, stop });
  shipment.run(stop.signal).catch((error: unknown) => {
    if (stop.signal.aborted) return;
    tell({ kind: 'trouble', id: job.id, message: errorMessage(error) });
    shipments.delete(job.id);
  });
}

port.on('message', (message: ToShipper) => {
  switch (message.kind) {
    case 'begin':
      begin(message.job);
      break;
    case 'ended':
      shipments.get(message.id)?.shipment.end();
      break;
    case 'forget':
      shipments.get(message.id)?.stop.abort();
      shipments.delete(message.id);
      break;
    default:
      unreachable(message);
  }
});
