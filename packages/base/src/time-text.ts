/** A time as people read it: to the second, in UTC. @param at milliseconds since the epoch. */
export function timeText(at: number): string {
  // oxlint-disable-next-line no-restricted-globals -- formats a given time, reads no clock
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
