// What the page says and does when an answer is no answer: each status in its own words, the daemon's where it has some.

import { open, token } from './api.js';
import { byId } from './dom.js';
import { count } from './format.js';
import { openZones } from './menus.js';
import { tell, untell } from './notices.js';
import { change, forget, load, session } from './session.js';
import { blank, draw } from './show.js';
import { askToken, hideSignin } from './signin.js';
import * as time from './time.js';

const HEALTH_MS = 15_000;
let [wasGiven, version, refusedSince] = [token() !== null, null, 0];

// Tells of a failed request. It is tried again in `pause` milliseconds where that can help.
export function trouble(failure, pause) {
  const { view } = session;
  const at = (ms) => time.timeWords(ms, view.timezone, true);
  if (failure.status === 401) return signIn(wasGiven ? 'That token is not known here.' : '');
  if (failure.status === 403) {
    return tell('denied', 'That token is known, but may not read reports. Ask for one with the scope `read`.', [['Use another', () => signIn('')]], true);
  }
  if (failure.status === 400 && failure.parameters.includes('timezone')) return unknownZone('tallyd', view.timezone);
  if (failure.status === 400) {
    const days = view.dimension === 'hour' ? [['Use days', () => { untell('bad'); change({ dimension: 'day' }); }]] : [];
    return tell('bad', failure.words, days, true);
  }
  if (failure.status === 503 || failure.status === 429) {
    return tell('busy', `tallyd is busy. Asking again at ${at(Date.now() + pause)}.`);
  }
  byId('view').classList.add('stale');
  const live = byId('live');
  live.dataset.state = 'stale';
  live.querySelector('b').textContent = 'Stale';
  const since = session.heardAt > 0 ? `No answer since ${at(session.heardAt)}; these numbers are from then.` : 'No answer from tallyd.';
  const words = failure.status === 0 ? since : `${failure.words}.`;
  return tell('stale', `${words} Trying again in ${Math.round(pause / 1000)} s.`, [['Try now', load]], true);
}

// A zone that the daemon or the browser has no rules for.
function unknownZone(who, zone) {
  tell('zone', `${who} does not know the zone ${zone}; showing UTC.`, [['Choose a zone', () => openZones(session.view, change)]]);
  change({ timezone: 'UTC' });
}

// Where the browser has no rules for the zone of the address, nothing can be shown in it; the daemon may have none either.
export async function checkZone(zone) {
  const response = await open(`/reports/busiest-period?period=today&timezone=${encodeURIComponent(zone)}`);
  unknownZone(response.status === 400 ? 'tallyd' : 'This browser', zone);
}

// The card for a token, over numbers that are taken away.
export function signIn(problem) {
  forget();
  blank();
  untell('denied', 'stale', 'busy');
  askToken(problem, () => {
    wasGiven = true;
    hideSignin();
    load();
    countStories().then(() => draw('all'));
  });
}

// How many stories there are; a token that is limited to some sees those alone.
export async function countStories() {
  try {
    const response = await open('/metrics');
    const text = response.ok ? await response.text() : '';
    const found = /^tallyd_stories (\d+)$/m.exec(text);
    session.storyCount = found ? Number(found[1]) : null;
    session.limited = 0;
    if (response.status === 403) {
      const list = await (await open('/stories?limit=1000')).json();
      session.limited = list.stories?.length ?? 0;
    }
  } catch {
    // The count is beside the point; whether there is an answer at all is told elsewhere.
    session.storyCount = null;
  }
}

// Asks now and then whether events are taken, and which version answers.
export async function watchHealth() {
  try {
    if (!document.hidden) await lookAtHealth();
  } catch {
    // That nothing answers is told by those who ask for reports.
    refusedSince = 0;
  }
  setTimeout(watchHealth, HEALTH_MS);
}

async function lookAtHealth() {
  const response = await open('/health');
  const health = await response.json();
  const since = Date.now();
  byId('foot-version').textContent = `tallyd ${health.version}`;
  version ??= health.version;
  if (health.version !== version) tell('newer', `tallyd was upgraded to ${health.version}.`, [['Reload', () => location.reload()]]);
  if (health.ingest === 'fail') {
    refusedSince ||= since;
    tell('refused', `Events are being refused since ${time.timeWords(refusedSince, session.view.timezone)}; tallyd’s log says why. Reports go on.`, [], true);
  } else {
    refusedSince = 0;
    untell('refused');
  }
  if (response.headers.has('tallyd-position')) await lookAtLog(response.headers.get('tallyd-position'));
}

// How far this node has read the log that it shares with others, and what it made of that. Who may not ask sees the place alone.
async function lookAtLog(position) {
  const response = await open('/cluster');
  const node = response.ok ? await response.json() : { position: Number(position.split(':')[1]) };
  const words = [`place ${count(node.position)} of the log`];
  if (node.digest) words.push(`digest ${node.digest.slice(0, 8)}`);
  if (node.stopped) words.push('stopped');
  else if (node.lag_seconds > 0) words.push(`${count(Math.ceil(node.lag_seconds))} s behind`);
  const foot = byId('foot-log');
  foot.textContent = `${words.join(', ')} · `;
  foot.title = 'Nodes that show the same digest at the same place of the log count the same.';
  foot.hidden = false;
}
