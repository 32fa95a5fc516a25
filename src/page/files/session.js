// Owns what the page knows: the view, the answers it shows, and how fresh they are. Everything else draws from here or asks for a
// change here. Knows requests and the address, and no element but the frame's.

import { dropToken, now } from './api.js';
import { follow } from './live.js';
import { chartedQuery, GROUPS_MORE, GROUPS_SHOWN, loadFigures, loadOne, loadSeries, loadStories, loadStoryList } from './load.js';
import { rangeOf } from './model.js';
import * as time from './time.js';
import { addressOf, initialView, readView } from './view.js';

const OTHERS_MS = 5_000;
const HIDDEN_MS = 20_000;
const EMPTY_MS = 2_000;
const RETRY_MAX_MS = 30_000;

export const initial = initialView(time.viewersZone(), localWeek());
const first = readView(location.search, initial);

// `freshness` is `wait`, `live`, `paused` or `stale`; `answers` has the view that they are of.
export const session = {
  view: first.view, faults: first.faults, answers: null, isAll: false, isAllInteractions: false, freshness: 'wait', heardAt: 0, changedAt: 0,
  isEmpty: false, lastEvent: null, othersOf: null,
};

let [draw, trouble, strange] = [() => {}, () => {}, () => {}];
let loading = new AbortController();
let following = null;
let [othersTimer, emptyTimer, retryTimer, hiddenTimer] = [0, 0, 0, 0];
let [othersAt, pause] = [0, 1_000];

// Begins. `draw(what)` draws, `trouble(failure, pauseMs)` tells, `strange(zone)` is for a zone that the browser does not know; all
// are called from here alone.
export function begin(drawing, troubling, strangeZone) {
  [draw, trouble, strange] = [drawing, troubling, strangeZone];
  history.replaceState(history.state, '', address());
  addEventListener('popstate', () => {
    const { view, faults } = readView(location.search, initial);
    Object.assign(session, { view, faults, isAll: false, isAllInteractions: false });
    load();
  });
  document.addEventListener('visibilitychange', seen);
  load();
}

function localWeek() {
  const locale = new Intl.Locale(navigator.language || 'en');
  const day = (locale.getWeekInfo?.() ?? locale.weekInfo)?.firstDay ?? 1;
  return { 6: 'sat', 7: 'sun' }[day] ?? 'mon';
}

export function address() {
  return `${location.pathname}?${addressOf(session.view, initial)}`;
}

// Changes the view: a step that Back undoes. Zooms are marked, so that Esc undoes them too.
export function change(part, { isZoom = false } = {}) {
  session.view = { ...session.view, ...part };
  Object.assign(session, { isAll: false, isAllInteractions: false, faults: [] });
  history.pushState({ isZoom }, '', address());
  load();
}

// Changes what needs no other answer.
export function changeLook(part) {
  session.view = { ...session.view, ...part };
  history.pushState({}, '', address());
  draw('all');
  listen();
}

export function showAll() {
  session.isAll = true;
  load();
}

// Asks for everything of the view, and then follows it.
export async function load() {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  stopListening();
  clearTimeout(emptyTimer);
  clearTimeout(retryTimer);
  if (!time.isZone(session.view.timezone)) {
    const zone = session.view.timezone;
    session.view = { ...session.view, timezone: 'UTC' };
    strange(zone);
    return;
  }
  const { view } = session;
  const slow = setTimeout(() => draw('late'), 150);
  try {
    const stories = await loadStories(view.storyId, signal);
    const limit = session.isAll ? GROUPS_MORE : GROUPS_SHOWN;
    const { main, figures } = await loadSeries(view, signal, limit);
    clearTimeout(slow);
    const old = session.answers;
    const answers = { view, main, figures, stories, busiest: old?.busiest, popularity: old?.popularity };
    Object.assign(session, { answers, heardAt: now(), changedAt: now() });
    pause = 1_000;
    await lookForEvents(signal);
    draw('all');
    await loadOthers(signal);
    listen();
    if (session.isEmpty) emptyTimer = setTimeout(load, EMPTY_MS);
  } catch (failure) {
    clearTimeout(slow);
    if (signal.aborted) return;
    draw('ended');
    failing(failure);
  }
}

// Where the view is all zeros: whether anything was ever counted, and when last.
async function lookForEvents(signal) {
  const { main, figures, view } = session.answers;
  const isZero = [main, ...Object.values(figures)].every((answer) => answer.summary.total === 0);
  session.lastEvent = null;
  session.isEmpty = false;
  if (!isZero) return;
  const page = await loadStoryList('', 1, signal);
  session.isEmpty = page.stories.length === 0 && view.storyId.length === 0;
  session.lastEvent = page.stories[0]?.lastEvent ?? null;
}

async function loadOthers(signal) {
  const { view } = session.answers;
  const answers = await Promise.all(['busiest-period', 'interactions.popularity'].map((name) => loadOne(view, name, signal)));
  [session.answers.busiest, session.answers.popularity] = answers;
  session.othersOf = view;
  othersAt = now();
  draw('others');
}

// Tells of a failure and tries again where that can help.
function failing(failure) {
  const isLost = failure.status === 0 || failure.status === undefined;
  if (failure.status === undefined) failure.status = 0;
  session.freshness = isLost ? 'stale' : 'wait';
  if (failure.status === 401) dropToken();
  const wait = Math.min(Math.max(pause, failure.after ?? 0, isLost ? 5_000 : 1_000), RETRY_MAX_MS);
  trouble(failure, wait);
  if (isLost || failure.status === 503 || failure.status === 429) {
    pause = Math.min(pause * 2, RETRY_MAX_MS);
    retryTimer = setTimeout(load, wait);
  }
}

// Follows the charted report, if it is to be live and its range is not over.
function listen() {
  stopListening();
  const { view, answers } = session;
  const isOpen = rangeOf(view, now()).isOpen;
  if (!view.live || !isOpen || answers === null || document.hidden) {
    session.freshness = 'paused';
    draw('pill');
    return;
  }
  session.freshness = 'live';
  const limit = session.isAll ? GROUPS_MORE : GROUPS_SHOWN;
  // As the daemon counts them: as many groups as there may be.
  const points = (answers.main.data.length + (answers.main.compare?.data.length ?? 0)) * (1 + limit);
  following = follow(view.report, chartedQuery(view, limit), points, {
    changed: (main) => {
      if (session.answers.main === main || JSON.stringify(session.answers.main) === JSON.stringify(main)) return;
      session.answers = { ...session.answers, main };
      session.changedAt = now();
      draw('live');
      refreshOthers();
    },
    heard: () => {
      const wasLost = session.freshness !== 'live';
      session.heardAt = now();
      session.freshness = 'live';
      draw(wasLost ? 'live' : 'pill');
    },
    lost: (failure, wait) => {
      if (failure.status === 401) dropToken();
      const isFirst = session.freshness === 'live';
      session.freshness = isFirst || failure.status !== 0 ? 'wait' : 'stale';
      // A stream that ends is begun anew; only where that fails too there is something to tell.
      if (isFirst && failure.status === 0) draw('pill');
      else trouble(failure, wait);
    },
  });
  draw('pill');
}

function stopListening() {
  following?.stop();
  following = null;
  clearTimeout(othersTimer);
  othersTimer = 0;
}

// The five other reports after a change, at most every few seconds; what has not changed costs nothing.
function refreshOthers() {
  if (othersTimer) return;
  const { signal } = loading;
  othersTimer = setTimeout(async () => {
    othersTimer = 0;
    try {
      const figures = await loadFigures(session.answers.view, signal);
      session.answers = { ...session.answers, figures };
      await loadOthers(signal);
      draw('live');
    } catch (failure) {
      if (!signal.aborted) failing(failure);
    }
  }, Math.max(0, othersAt + OTHERS_MS - now()));
}

// A tab that nobody looks at lets its connection go.
function seen() {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(() => { stopListening(); session.freshness = 'paused'; }, HIDDEN_MS);
  else if (following === null && session.answers !== null && session.view.live) load();
}

export function forget() {
  loading.abort();
  stopListening();
  session.answers = null;
  session.freshness = 'wait';
}
