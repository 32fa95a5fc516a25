// Numbers as people read them, in the browser's language. Pure.

import { Whole } from './json.js';

const NARROW = '\u202f';
const whole = new Intl.NumberFormat();
const decimals = (digits) => new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const two = decimals(2);
const one = decimals(1);

// Every digit of a count; one past 2⁵³ that the page has reckoned itself is the nearest that JavaScript has, and is marked so.
export function count(value) {
  if (value instanceof Whole) return whole.format(BigInt(value.digits));
  return (Number.isSafeInteger(value) ? '' : '≈ ') + whole.format(value);
}

// A count with at most six digits.
export function brief(value) {
  for (const [unit, sign] of [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M']]) {
    if (value >= unit) return `${two.format(value / unit)}${NARROW}${sign}`;
  }
  return count(value);
}

export function average(value) {
  return two.format(value);
}

// The value of a report's point or sum.
export function valueOf(report, value) {
  return report === 'conversations.average' ? average(value) : count(value);
}

export function briefValueOf(report, value) {
  return report === 'conversations.average' ? average(value) : brief(value);
}

// A share in percent: one decimal below ten, else none.
export function percent(value) {
  const text = value !== 0 && Math.abs(value) < 9.95 ? one.format(value) : whole.format(Math.round(value));
  return `${text}${NARROW}%`;
}

export function share(part, all) {
  return all > 0 ? percent((part / all) * 100) : '–';
}

// How a value differs from the one before: its sign, its text, and how it is read out. `null` where nothing is compared.
export function change(value, before) {
  if (before === null || before === undefined) return null;
  if (value === 0 && before === 0) return { sign: '', text: '–', words: 'no change' };
  if (before === 0) return { sign: '', text: 'new', words: 'none before' };
  const difference = ((value - before) / before) * 100;
  if (Math.abs(difference) < 0.05) return { sign: '', text: percent(0), words: 'no change' };
  const text = percent(Math.abs(difference));
  return difference > 0
    ? { sign: '▲', text, words: `up ${text}` }
    : { sign: '▼', text, words: `down ${text}` };
}

export function changeText(value, before) {
  const found = change(value, before);
  return found === null ? '' : `${found.sign}${found.sign && NARROW}${found.text}`;
}

// Rounds to two digits, as the bounds of the heat map's classes are.
export function twoDigits(value) {
  if (value < 100) return Math.round(value);
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Math.round(value / unit) * unit;
}
