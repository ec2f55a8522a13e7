/** Which images of a node nobody would miss: for the node that removes them, and for whoever asks which those are. */

/** Between a pull and the container it is for nothing else says that the image is needed. */
const IMAGE_GRACE_MS = 60_000;

/** No container is made of it, and none was for `unusedForMs`. Times are milliseconds since the epoch. */
export function isIdleImage(
  image: { readonly used: boolean; readonly usedAt: number; readonly pulledAt: number },
  { now, unusedForMs }: { now: number; unusedForMs: number },
): boolean {
  const before = now - Math.max(unusedForMs, IMAGE_GRACE_MS);
  return !image.used && Math.max(image.usedAt, image.pulledAt) <= before;
}
