// Keeps the charted report up to date: reads its stream, or asks again and again where there is none for it. Knows no element; it is
// told which report, and tells what has come.

import { Failed, ask, failed, open } from './api.js';
import { parsed } from './json.js';
import { patched } from './patch.js';
import { eventReader } from './sse.js';

const AGAIN_MS = 2_000;
// A browser has six connections to a host, and a stream holds one: of its tabs so many stream, the others ask again and again.
const STREAMING_TABS_MAX = 3;
// The daemon's bound on the points of a stream; what has more is asked for again and again.
const STREAM_POINTS_MAX = 10_000;
const SILENCE_MS = 40_000;
const RETRY_MAX_MS = 30_000;

// Follows a report until `stop` is called, by a stream if it has few enough points. `changed(json)` has each new state, `heard()` each sign of life,
// `lost(failure, pauseMs)` each break.
export function follow(name, query, points, { changed, heard, lost }) {
  const stopping = new AbortController();
  const run = async () => {
    let pause = 1_000;
    let isStreamed = points <= STREAM_POINTS_MAX;
    while (!stopping.signal.aborted) {
      const leave = isStreamed ? await takePlace() : null;
      try {
        if (leave !== null) await stream(name, query, stopping.signal, { changed, heard: () => { pause = 1_000; heard(); } });
        else await poll(name, query, stopping.signal, { changed, heard });
      } catch (error) {
        if (stopping.signal.aborted) return;
        const failure = error instanceof Failed ? error : new Failed(0, 'the stream broke off');
        if (failure.status === 400 && isStreamed) {
          isStreamed = false;
          continue;
        }
        const after = Math.max(pause, failure.after);
        lost(failure, after);
        if ([400, 401, 403].includes(failure.status)) return;
        await wait(after, stopping.signal);
        pause = Math.min(pause * 2, RETRY_MAX_MS);
      } finally {
        leave?.();
      }
    }
  };
  run();
  return { stop: () => stopping.abort() };
}

// Takes one of the places for tabs that stream: gives how to leave it, or `null` where all are taken. The browser frees those of
// closed tabs; where it has no locks, as for pages over plain HTTP from elsewhere, every tab streams.
async function takePlace(number = 0) {
  if (!navigator.locks) return () => {};
  if (number === STREAMING_TABS_MAX) return null;
  const leave = await new Promise((taken) => {
    const hold = (lock) => (lock === null ? taken(null) : new Promise((done) => taken(done)));
    navigator.locks.request(`tallyd.stream.${number}`, { ifAvailable: true }, hold);
  });
  return leave ?? takePlace(number + 1);
}

// Reads one stream to its end, which is always a failure of some kind.
async function stream(name, query, signal, { changed, heard }) {
  const silence = new AbortController();
  const either = AbortSignal.any([signal, silence.signal]);
  const response = await open(`/reports/${name}/stream?${query}`, { signal: either });
  if (!response.ok) throw await failed(response);
  const [bytes, events] = [response.body.getReader(), eventReader()];
  let state = null;
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const part = await bytes.read().finally(() => clearTimeout(timer));
    if (part.done) throw new Failed(0, 'the stream ended');
    heard();
    for (const { event, data } of events(part.value)) {
      if (event === 'report') state = parsed(data);
      else if (event === 'change') state = patched(state, parsed(data));
      else if (event === 'end') {
        const reason = JSON.parse(data).reason;
        throw new Failed(reason === 'token' ? 401 : 0, `the stream ended: ${reason}`);
      } else continue;
      changed(state);
    }
  }
}

async function poll(name, query, signal, { changed, heard }) {
  changed(await ask(`/reports/${name}?${query}`, { signal }));
  heard();
  await wait(AGAIN_MS, signal);
}

// Waits, or until it is stopped.
function wait(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
