// Reads the daemon's JSON with every digit of its counts: JavaScript's own numbers have them up to 2⁵³ only. Pure.

// A whole number past that: reckons and compares as the nearest number that JavaScript has, and keeps its digits.
export class Whole extends Number {
  constructor(digits) {
    super(digits);
    this.digits = digits;
  }

  toJSON() {
    return this.digits;
  }
}

// A text, which is passed over, or a whole number that may be one of those.
const TOKEN = /"(?:[^"\\]|\\.)*"|(?<=[[:,\s])\d{16,}(?![\d.eE])/g;
// Where there is none, as in nearly every answer, nothing has to be done.
const LONG = /[[:,\s]\d{16}/;
// No name of the API, so that nothing else is taken for such a number.
const MARK = '\0';

export function parsed(text) {
  if (!LONG.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKEN, (token) => (token.startsWith('"') ? token : `{"\\u0000":"${token}"}`));
  return JSON.parse(marked, (_key, value) => (typeof value?.[MARK] === 'string' ? number(value[MARK]) : value));
}

function number(digits) {
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : new Whole(digits);
}
