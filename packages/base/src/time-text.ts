/** A time as people read it: to the second, in UTC. @param at milliseconds since the epoch. */
export function timeText(at: number): string {
  // oxlint-disable-next-line no-restricted-globals -- formats a given time, reads no clock
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}

let lastSecond = Number.NaN;
let lastText = '';

/**
 * A time as logs have it, "2026-11-21T13:21:19.123456Z". Lines come by the hundred thousand a second: most of the
 * text is that of the line before. @param at milliseconds since the epoch, with a fraction.
 */
export function microTimeText(at: number): string {
  const whole = Math.floor(at);
  const second = Math.floor(whole / 1_000);
  if (second !== lastSecond) {
    // oxlint-disable-next-line no-restricted-globals -- formats a given time, reads no clock
    lastText = new Date(second * 1_000).toISOString().slice(0, 20);
    lastSecond = second;
  }
  const millis = String(whole - second * 1_000).padStart(3, '0');
  const micros = String(Math.floor((at - whole) * 1_000)).padStart(3, '0');
  return `${lastText}${millis}${micros}Z`;
}
