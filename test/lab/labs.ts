/** The labs that the lab tests run on: most of their time is waiting, so two go side by side. */

/** How many files run at a time, each on a lab of its own. */
export const LABS = 2;

/** Several suites can run on one machine when their labs have other names: SWARMD_LAB_NAME. */
export function labName(worker: number): string {
  return `${process.env['SWARMD_LAB_NAME'] ?? 'test'}${worker === 1 ? '' : worker}`;
}
