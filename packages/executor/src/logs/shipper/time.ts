/** Points in time as syslog writes them. Pure. */

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
