/** Pieces that several specs share: names, labels, durations. */
import { z } from 'zod';

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const OBJECT_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$/;

/** Names that become DNS names: services and networks. */
export const dnsName = z
  .string()
  .regex(DNS_LABEL, 'must be a DNS label: 1 to 63 letters, digits or "-", not at its ends');

/** Names of secrets and configs. */
export const objectName = z
  .string()
  .regex(
    OBJECT_NAME,
    'must be 1 to 64 letters, digits, ".", "_" or "-", starting and ending with a letter or digit',
  );

export const labels = z.record(z.string().min(1), z.string()).default({});

/** A duration in whole milliseconds. */
export const durationMs = z.int().min(0);
