// Keeps the charted report up to date: reads its stream, or asks again where the daemon has no streams. Knows no element; it is
// told which report, and tells what has come.

import { Failed, ask, failed, open } from './api.js';
import { patched } from './patch.js';
import { eventReader } from './sse.js';

const AGAIN_MS = 2_000;
const SILENCE_MS = 40_000;
const RETRY_MAX_MS = 30_000;
// Whether the daemon has streams; an older one has none.
let hasStreams = true;

// Follows a report until `stop` is called. `changed(json)` has each new state, `heard()` each sign of life,
// `lost(failure, pauseMs)` each break.
export function follow(name, query, { changed, heard, lost }) {
  const stopping = new AbortController();
  const run = async () => {
    let pause = 1_000;
    // A stream takes fewer points than an answer does; what is too long for one is asked for again and again.
    let isStreamed = true;
    while (!stopping.signal.aborted) {
      try {
        if (hasStreams && isStreamed) hasStreams = await stream(name, query, stopping.signal, { changed, heard: () => { pause = 1_000; heard(); } });
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
      }
    }
  };
  run();
  return { stop: () => stopping.abort() };
}

// Reads one stream to its end. `false` where the daemon has none.
async function stream(name, query, signal, { changed, heard }) {
  const silence = new AbortController();
  const either = AbortSignal.any([signal, silence.signal]);
  const response = await open(`/reports/${name}/stream?${query}`, { signal: either });
  if (response.status === 404) {
    await response.body?.cancel();
    return false;
  }
  if (!response.ok) throw await failed(response);
  const [bytes, events] = [response.body.getReader(), eventReader()];
  let state = null;
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const part = await bytes.read().finally(() => clearTimeout(timer));
    if (part.done) throw new Failed(0, 'the stream ended');
    heard();
    for (const { event, data } of events(part.value)) {
      if (event === 'report') state = JSON.parse(data);
      else if (event === 'change') state = patched(state, JSON.parse(data));
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
