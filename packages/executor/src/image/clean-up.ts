/**
 * Which images and blobs of this machine go by themselves, and why. Pure. What a container was made
 * of, or is about to be, never goes; blobs of layers go before images, for only push and save need them.
 */
export interface CleanUpPolicy {
  /** Images unused for so long go; 0: none for their age. */
  readonly unusedForMs: number;
  /** Above this the disk is short; then images go until it is below `lowPercent`. 100: never. */
  readonly highPercent: number;
  readonly lowPercent: number;
}

export interface Candidate {
  readonly reference: string;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
  /** Of its layers, shared ones included. */
  readonly bytes: number;
  /** By a container, or by one that is being made. */
  readonly used: boolean;
}

export interface CleanUpView {
  readonly now: number;
  readonly disk: { readonly totalBytes: number; readonly usedBytes: number };
  /** Of blobs that no pull holds. */
  readonly blobBytes: number;
  readonly images: readonly Candidate[];
}

export interface CleanUpPlan {
  readonly images: readonly { readonly reference: string; readonly reason: string }[];
  /** Undefined: they stay. */
  readonly blobsReason: string | undefined;
}

const HOUR_MS = 3_600_000;

export function planCleanUp(view: CleanUpView, policy: CleanUpPolicy): CleanUpPlan {
  const { now, images } = view;
  const idle = images
    .filter(({ used }) => !used)
    .toSorted((a, b) => a.usedAt - b.usedAt || (a.reference < b.reference ? -1 : 1));
  const old = idle.filter(
    ({ usedAt }) => policy.unusedForMs > 0 && now - usedAt >= policy.unusedForMs,
  );
  const aged = old.map(({ reference, usedAt }) => ({
    reference,
    reason: `unused for ${Math.floor((now - usedAt) / HOUR_MS)} hours`,
  }));
  const pressed = underPressure(view, policy, {
    idle: idle.filter((image) => !old.includes(image)),
    freed: old.reduce((sum, { bytes }) => sum + bytes, 0),
  });
  return { ...pressed, images: [...aged, ...pressed.images] };
}

/** Least recently used first, as many as it takes by what they seem to weigh. */
function underPressure(
  { disk, blobBytes }: CleanUpView,
  { highPercent, lowPercent }: CleanUpPolicy,
  { idle, freed }: { readonly idle: readonly Candidate[]; readonly freed: number },
): CleanUpPlan {
  const percent = (disk.usedBytes / Math.max(1, disk.totalBytes)) * 100;
  if (percent <= highPercent) return { images: [], blobsReason: undefined };
  const reason = `the disk is ${Math.floor(percent)} % full, more than ${highPercent} %`;
  let excess = disk.usedBytes - (disk.totalBytes * lowPercent) / 100 - freed - blobBytes;
  const images: { reference: string; reason: string }[] = [];
  for (const { reference, bytes } of idle) {
    if (excess <= 0) break;
    excess -= bytes;
    images.push({ reference, reason });
  }
  return { images, blobsReason: blobBytes > 0 ? reason : undefined };
}
