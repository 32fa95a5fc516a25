// Asks tallyd over HTTP: with the token, with the tag of what is known already, and with the daemon's own time. Knows no
// element and no view.

import { parsed } from './json.js';

const KNOWN_MAX = 64;
// An answer of which nothing more has come for so long is given up.
const SILENCE_MS = 10_000;
const TOKEN = 'tallyd.token';
// The last answer of each address, by its tag.
const known = new Map();
// How far the daemon's clock is ahead of the browser's.
let ahead = 0;

// What went wrong: `status` is 0 where there was no answer, `words` are the daemon's own.
export class Failed extends Error {
  constructor(status, words, after = 0, parameters = []) {
    super(words);
    Object.assign(this, { status, words, after, parameters });
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN) ?? localStorage.getItem(TOKEN);
}

export function keepToken(text, onDevice) {
  sessionStorage.setItem(TOKEN, text);
  if (onDevice) localStorage.setItem(TOKEN, text);
  known.clear();
}

export function dropToken() {
  sessionStorage.removeItem(TOKEN);
  localStorage.removeItem(TOKEN);
  known.clear();
}

// The daemon's clock.
export function now() {
  return Date.now() + ahead;
}

function headers(more = {}) {
  const held = token();
  return held ? { ...more, authorization: `Bearer ${held}` } : more;
}

// The response to a GET, whatever its status. Where none begins in time, there is no answer.
export async function open(path, { signal, ...more } = {}) {
  const giving = new AbortController();
  const either = signal ? AbortSignal.any([signal, giving.signal]) : giving.signal;
  try {
    const asked = fetch(path, { signal: either, headers: headers(more), cache: 'no-store', redirect: 'error' });
    const response = await inTime(asked, () => giving.abort());
    const date = Date.parse(response.headers.get('date'));
    // A header of whole seconds: a difference below two is none.
    if (Number.isFinite(date)) ahead = Math.abs(date - Date.now()) < 2_000 ? 0 : date - Date.now();
    return response;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failed(0, 'no answer');
  }
}

async function inTime(promise, giveUp) {
  let timer = 0;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => { reject(new Failed(0, 'no answer')); giveUp(); }, SILENCE_MS);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}

// The JSON of a GET. An answer with the tag of the last one is the last one itself, the same object.
export async function ask(path, { signal } = {}) {
  const last = known.get(path);
  const response = await open(path, last ? { signal, 'if-none-match': last.tag } : { signal });
  if (response.status === 304 && last) return last.json;
  if (!response.ok) throw await failed(response);
  const json = await body(response, signal);
  const tag = response.headers.get('etag');
  known.delete(path);
  if (tag) known.set(path, { tag, json });
  if (known.size > KNOWN_MAX) known.delete(known.keys().next().value);
  return json;
}

async function body(response, signal) {
  const [bytes, decoder] = [response.body.getReader(), new TextDecoder()];
  let text = '';
  try {
    for (;;) {
      const part = await inTime(bytes.read(), () => bytes.cancel());
      if (part.done) return parsed(text + decoder.decode());
      text += decoder.decode(part.value, { stream: true });
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failed(0, 'the answer broke off');
  }
}

// What a response that is no success says.
export async function failed(response) {
  const json = await body(response).catch(() => null);
  const status = json?.status ?? {};
  const details = Array.isArray(status.details) ? status.details : [];
  const sentences = details.map((detail) => detail.message).filter(Boolean);
  const words = sentences.length > 0 ? sentences.join('\n') : status.message ?? json?.message ?? `status ${response.status}`;
  const date = Date.parse(response.headers.get('retry-after'));
  const after = Number.isFinite(date) ? Math.max(date - now(), 0) : 0;
  return new Failed(response.status, words, after, details.map((detail) => detail.parameter));
}
