/** Points in time as logs write them. Pure. */

/** "2026-11-21T13:21:19.123456Z" from milliseconds with a fraction. */
export function formatTime(ms: number): string {
  const whole = Math.floor(ms);
  const micros = Math.floor((ms - whole) * 1_000);
  return `${isoTime(whole).slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

let lastSecond = Number.NaN;
let lastText = '';

/** Lines come by the thousand a second: most of the text is that of the line before. */
function isoTime(ms: number): string {
  const second = Math.floor(ms / 1_000);
  if (second !== lastSecond) {
    // oxlint-disable-next-line no-restricted-globals -- formatting a given time reads no clock
    lastText = new Date(second * 1_000).toISOString().slice(0, 20);
    lastSecond = second;
  }
  return `${lastText}${String(ms - second * 1_000).padStart(3, '0')}Z`;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** "Nov  1 13:21:19", local time, as RFC 3164 wants it. */
export function formatStamp(ms: number): string {
  // oxlint-disable-next-line no-restricted-globals -- formatting a given time reads no clock
  const at = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = String(at.getDate()).padStart(2);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  return `${MONTHS[at.getMonth()]} ${day} ${time}`;
}
