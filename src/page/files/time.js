// Local dates and hours of a zone, and their words. Pure: the present instant is given. Days are `YYYY-MM-DD`, instants are
// milliseconds; what needs a zone's rules asks the browser's.

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
const formats = new Map();

// A format of the browser, kept since making one is slow.
function format(locale, zone, options) {
  const key = `${locale} ${zone} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    if (formats.size >= 200) formats.clear();
    found = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
    formats.set(key, found);
  }
  return found;
}

const PARTS = {
  year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23',
};

// Whether the browser knows the zone.
export function isZone(zone) {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

export function viewersZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

// The local clock at an instant.
export function clock(ms, zone) {
  const parts = {};
  for (const { type, value } of format('en-US-u-ca-gregory-nu-latn', zone, PARTS).formatToParts(ms)) parts[type] = Number(value);
  return parts;
}

// Minutes that the zone is ahead of UTC at an instant.
export function offset(ms, zone) {
  const { year, month, day, hour, minute, second } = clock(ms, zone);
  return Math.round((Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000) / 60_000);
}

// "UTC+1", "UTC−3:30".
export function offsetText(ms, zone) {
  const minutes = offset(ms, zone);
  if (minutes === 0) return 'UTC';
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '\u2212' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

const pad = (number, width = 2) => String(number).padStart(width, '0');

// The local day at an instant.
export function day(ms, zone) {
  const { year, month, day } = clock(ms, zone);
  return `${pad(year, 4)}-${pad(month)}-${pad(day)}`;
}

// Midnight of a day as if in UTC, for arithmetic with days only.
const asUtc = (text) => Date.parse(`${text}T00:00Z`);
const ofUtc = (ms) => new Date(ms).toISOString().slice(0, 10);

export function addDays(text, days) {
  return ofUtc(asUtc(text) + days * DAY);
}

// The same day of another month, or that month's last day where it has no such day.
export function addMonths(text, months) {
  const [year, month, of] = text.split('-').map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0));
  return ofUtc(Date.UTC(last.getUTCFullYear(), last.getUTCMonth(), Math.min(of, last.getUTCDate())));
}

// Days from one to the other, both counted.
export function daysOf(first, last) {
  return Math.round((asUtc(last) - asUtc(first)) / DAY) + 1;
}

// 0 = Sunday.
export function weekday(text) {
  return new Date(asUtc(text)).getUTCDay();
}

export const firstOfMonth = (text) => `${text.slice(0, 8)}01`;
export const lastOfMonth = (text) => addDays(addMonths(firstOfMonth(text), 1), -1);

// The instant at which a local day begins: the first at which the zone's clock shows it.
export function startOfDay(text, zone) {
  let [low, high] = [asUtc(text) - 15 * HOUR, asUtc(text) + 15 * HOUR];
  while (high - low > 60_000) {
    const middle = Math.floor((low + high) / 120_000) * 60_000;
    if (day(middle, zone) < text) low = middle;
    else high = middle;
    if (high - low <= 60_000) break;
  }
  return high;
}

// Words of a day: "Mon 2 Nov", with the year where it is another than that of `now`.
const UTC_DAY = { weekday: 'short', day: 'numeric', month: 'short' };
export function dayWords(text, now, options = UTC_DAY) {
  const year = text.slice(0, 4) === now.slice(0, 4) ? {} : { year: 'numeric' };
  return format('en-GB', 'UTC', { ...options, ...year }).format(asUtc(text)).replace(',', '');
}

// Words of a range: "31 Oct – 29 Nov 2026".
export function rangeWords(first, last) {
  const words = (text, options) => format('en-GB', 'UTC', options).format(asUtc(text));
  const [brief, full] = [{ day: 'numeric', month: 'short' }, { day: 'numeric', month: 'short', year: 'numeric' }];
  if (first === last) return words(last, full);
  return `${words(first, first.slice(0, 4) === last.slice(0, 4) ? brief : full)} – ${words(last, full)}`;
}

export const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

// "14:03", "14:03:22".
export function timeWords(ms, zone, seconds = false) {
  const at = clock(ms, zone);
  return `${pad(at.hour)}:${pad(at.minute)}${seconds ? `:${pad(at.second)}` : ''}`;
}

// Where the same local hour comes twice, its offset tells which.
function hourWords(ms, zone) {
  const isTwice = [-HOUR, HOUR].some((step) => timeWords(ms + step, zone) === timeWords(ms, zone));
  return timeWords(ms, zone) + (isTwice ? ` (${offsetText(ms, zone)})` : '');
}

// A bucket in full: "Monday 23 November 2026", "Tuesday 24 November 2026, 14:00–15:00".
export function bucketWords(ms, dimension, zone) {
  const at = day(ms, zone);
  const words = (options) => format('en-GB', 'UTC', options).format(asUtc(at)).replace(',', '');
  if (dimension === 'year') return at.slice(0, 4);
  if (dimension === 'month') return words({ month: 'long', year: 'numeric' });
  const date = words({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
  if (dimension === 'hour') return `${date}, ${hourWords(ms, zone)}–${timeWords(ms + HOUR, zone)}`;
  const starts = timeWords(ms, zone);
  return starts === '00:00' ? date : `${date}, from ${starts}`;
}

// A bucket in brief, for tables: "2026-11-23", "2026-11-23 14:00".
export function bucketName(ms, dimension, zone) {
  const at = day(ms, zone);
  if (dimension === 'year') return at.slice(0, 4);
  if (dimension === 'month') return at.slice(0, 7);
  return dimension === 'hour' ? `${at} ${hourWords(ms, zone)}` : at;
}

// What is odd about the length of a day, if anything.
export function oddDay(ms, zone) {
  const at = day(ms, zone);
  const hours = (startOfDay(addDays(at, 1), zone) - startOfDay(at, zone)) / HOUR;
  if (hours === 24) return '';
  return `${hours}-hour day, clocks went ${hours > 24 ? 'back' : 'forward'}`;
}
