/** Which health check a container has. Pure. */
import type { HealthcheckSpec } from '@swarmd/model';

/** The spec's, else the image's; undefined for none, and where either says so. */
export function effectiveHealthcheck(
  spec: HealthcheckSpec | undefined,
  image: HealthcheckSpec | undefined,
): HealthcheckSpec | undefined {
  const check = spec ?? image;
  return check === undefined || check.test[0] === 'NONE' ? undefined : check;
}
