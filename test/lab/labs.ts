/** The labs that the lab tests run on. */

/** How many files run at a time, each on a lab of its own: most of their time is waiting. */
export const LABS = Number(process.env['SWARMD_LABS'] ?? '1');

/** Several suites can run on one machine when their labs have other names: SWARMD_LAB_NAME. */
export function labName(worker: number): string {
  return `${process.env['SWARMD_LAB_NAME'] ?? 'test'}${worker === 1 ? '' : worker}`;
}

/** SWARMD_LAB_DATA_PATH=6: containers' packets go by IPv6 from host to host. */
export const DATA_PATH_6 = process.env['SWARMD_LAB_DATA_PATH'] === '6';

/** Managers and workers of each lab: SWARMD_LAB_SIZE=1+2 where the suite's own size is too much. */
export const [MANAGERS = 3, WORKERS = 2] = (process.env['SWARMD_LAB_SIZE'] ?? '3+2')
  .split('+')
  .map(Number);
