/**
 * Membership changes as bytes of an entry: the protobuf wire format of etcd's `ConfChangeV2`
 * (transition = 1, changes = 2 {type = 1, node_id = 2}, context = 3) and, for its scripts, of
 * `ConfChange` (type = 2, node_id = 3). Zero bytes are the change that leaves a joint membership.
 */
import { SwarmError } from '@swarmd/base';
import type { ConfChange, ConfChangeStep, Entry } from './types.ts';

const TRANSITIONS = ['auto', 'implicit', 'explicit'] as const;
const STEPS = ['addVoter', 'remove', 'update', 'addLearner'] as const;

const VARINT = 0;
const BYTES = 2;

export const LEAVE_JOINT: ConfChange = {
  transition: 'auto',
  steps: [],
  context: new Uint8Array(),
};

export function encodeConfChange(change: ConfChange): Uint8Array {
  if (isLeaveJoint(change) && change.context.length === 0) return new Uint8Array();
  const out: number[] = [];
  writeNumber(out, 1, TRANSITIONS.indexOf(change.transition));
  for (const step of change.steps) {
    const inner: number[] = [];
    writeNumber(inner, 1, STEPS.indexOf(step.kind));
    writeNumber(inner, 2, step.id);
    writeBytes(out, 2, Uint8Array.from(inner));
  }
  if (change.context.length > 0) writeBytes(out, 3, change.context);
  return Uint8Array.from(out);
}

/** The old form: exactly one step, `auto`. */
export function encodeConfChangeV1(step: ConfChangeStep): Uint8Array {
  const out: number[] = [];
  writeNumber(out, 2, STEPS.indexOf(step.kind));
  writeNumber(out, 3, step.id);
  return Uint8Array.from(out);
}

/**
 * The change in a `confChange` or `confChangeV1` entry.
 * @throws SwarmError `data-loss` when the bytes are not one.
 */
export function decodeConfChange(entry: Pick<Entry, 'kind' | 'data'>): ConfChange {
  return entry.kind === 'confChangeV1' ? decodeV1(entry.data) : decodeV2(entry.data);
}

/** True for the change without steps that ends a joint membership. */
export function isLeaveJoint(change: ConfChange): boolean {
  return change.transition === 'auto' && change.steps.length === 0;
}

function decodeV1(data: Uint8Array): ConfChange {
  const step = decodeStep(data, { kind: 2, id: 3 });
  return { transition: 'auto', steps: [step], context: new Uint8Array() };
}

function decodeV2(data: Uint8Array): ConfChange {
  let transition: ConfChange['transition'] = 'auto';
  let context: Uint8Array = new Uint8Array();
  const steps: ConfChangeStep[] = [];
  for (const field of fields(data)) {
    if (field.tag === 1) transition = TRANSITIONS[field.number] ?? malformed('transition');
    else if (field.tag === 2) steps.push(decodeStep(field.bytes, { kind: 1, id: 2 }));
    else if (field.tag === 3) context = field.bytes;
  }
  return { transition, steps, context };
}

function decodeStep(data: Uint8Array, tags: { kind: number; id: number }): ConfChangeStep {
  let kind: ConfChangeStep['kind'] = 'addVoter';
  let id = 0;
  for (const field of fields(data)) {
    if (field.tag === tags.kind) kind = STEPS[field.number] ?? malformed('kind of step');
    else if (field.tag === tags.id) id = field.number;
  }
  return { kind, id };
}

interface Field {
  readonly tag: number;
  readonly number: number;
  readonly bytes: Uint8Array;
}

function* fields(data: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = data[at++] ?? malformed('end of data');
      value += (byte & 127) * scale;
      if (!Number.isSafeInteger(value)) malformed('number');
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const tag = Math.floor(key / 8);
    if (key % 8 === VARINT) {
      yield { tag, number: varint(), bytes: new Uint8Array() };
    } else if (key % 8 === BYTES) {
      const length = varint();
      if (at + length > data.length) malformed('length');
      yield { tag, number: 0, bytes: data.subarray(at, at + length) };
      at += length;
    } else {
      malformed('wire type');
    }
  }
}

function malformed(what: string): never {
  throw new SwarmError('data-loss', `membership change in the Raft log has a bad ${what}`);
}

function writeVarint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
}

function writeNumber(out: number[], tag: number, value: number): void {
  writeVarint(out, tag * 8 + VARINT);
  writeVarint(out, value);
}

function writeBytes(out: number[], tag: number, bytes: Uint8Array): void {
  writeVarint(out, tag * 8 + BYTES);
  writeVarint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}
