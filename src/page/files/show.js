// Draws the whole page of what the session knows: which part is drawn when, titles, pill, states of loading and of emptiness.

import { drawBreakdown } from './breakdown.js';
import { chartNote, chartSaid } from './compare.js';
import { clearChart, drawChart } from './chart.js';
import { byId, el, refill } from './dom.js';
import { drawFigures, LABELS } from './figures.js';
import { valueOf } from './format.js';
import { drawHeat } from './heat.js';
import { drawInteractions } from './interactions.js';
import { drawBar, periodWords } from './menus.js';
import { chartOf, instant, keptOf, rangeOf, stepped } from './model.js';
import { tell, untell } from './notices.js';
import { now } from './api.js';
import { change, initial, session, showAll } from './session.js';
import { drawTable } from './table.js';
import * as time from './time.js';
import { addressOf } from './view.js';

const QUIET_MS = 60_000;
const SAID_MS = 60_000;

// Draws a part: `all`, what came `live`, the two `others`, the `pill`, or that an answer is `late` or the wait for it has `ended`.
export function draw(what) {
  if (what === 'late' || what === 'ended') return late(what === 'late');
  if (what === 'pill') return pill();
  if (session.answers === null) return undefined;
  if (what !== 'others') {
    late(false);
    drawSeries();
  }
  if (what !== 'live') drawOthers();
  // What is drawn, as its address; with those of the parts that come later.
  if (session.othersOf === session.answers.view) byId('view').dataset.shown = addressOf(shownView(), initial);
  return pill();
}

function late(isLate) {
  byId('view').classList.toggle('late', isLate && session.answers !== null);
  const bar = document.querySelector('.late-bar');
  if (isLate && !bar) document.body.append(el('div.late-bar', {}));
  else if (!isLate) bar?.remove();
  byId('view').setAttribute('aria-busy', String(isLate || session.answers === null));
}

// Takes every number away, for whoever signed out.
export function blank() {
  clearChart();
  delete byId('view').dataset.shown;
  for (const part of byId('view').querySelectorAll('#figures .value, #figures .sub, #chart-note, #chart-said, #bucket-said, #chart-table, #breakdown-list, #busiest-note, #heat, #heat-said, #interactions-note, #interactions-list')) {
    part.replaceChildren();
  }
}

// The view whose numbers are shown, with the looks of the present one.
export function shownView() {
  const { table, heat, week, live, wall } = session.view;
  return { ...session.answers.view, table, heat, week, live, wall };
}

export function shownChart() {
  const { answers } = session;
  return chartOf(shownView(), answers.main, answers.stories, now());
}

function drawSeries() {
  const { answers, isAll, isEmpty } = session;
  const view = shownView();
  document.documentElement.classList.toggle('wall', isWall(view));
  untell('busy', 'stale', 'bad', 'denied');
  const chart = shownChart();
  const all = { ...answers.figures, [view.report]: answers.main };
  byId('view').classList.remove('stale');
  byId('view').hidden = isEmpty;
  drawEmptyCard(isEmpty);
  drawTitles(view, chart);
  drawFigures(all, view.report, (report) => report !== session.view.report && change({ report }));
  byId('plot-group').hidden = false;
  if (!isEmpty) drawChart(chart, all, LABELS[view.report], zoom);
  drawNothing(view, chart, all);
  drawTable(chart, view.table);
  drawBreakdown(chart, { chosen: [...view.source, ...view.storyId], filtered: view.source.length + view.storyId.length > 0, isAll },
    { picked, more: showAll, tab: (list) => change(session.view.group ? { group: list, list } : { list }) });
  drawStates(view, chart, answers.stories);
  drawControls(view, chart);
}

// Asked for, or a screen that nobody sits before.
export function isWall(view) {
  return view.wall || innerWidth >= 2400;
}

function drawTitles(view, chart) {
  const range = rangeOf(view, now());
  byId('chart-title').textContent = `${LABELS[view.report]} by ${chart.unit}`;
  byId('chart-note').textContent = chartNote(chart, now());
  byId('chart-said').textContent = chartSaid(chart, (value) => valueOf(view.report, value));
  document.title = `${LABELS[view.report]}, ${periodWords(view, range)} · tallyd`;
  byId('foot-zone').textContent = `${view.timezone} (${time.offsetText(now(), view.timezone)})`;
}

function drawControls(view, chart) {
  const range = rangeOf(view, now());
  drawBar(session.view, {
    range, unit: chart.unit, stories: session.answers.stories, storyCount: session.storyCount ?? null, limited: session.limited ?? 0,
    steps: { earlier: stepped(range, -1, now(), view.timezone), later: stepped(range, 1, now(), view.timezone) },
  });
  press('split', session.view.group);
  press('shape', session.view.table ? '1' : '');
  press('heat-kind', session.view.heat);
}

function press(id, value) {
  for (const button of byId(id).querySelectorAll('button')) button.setAttribute('aria-pressed', String(button.value === value));
}

function drawOthers() {
  const { answers, isAllInteractions, isEmpty } = session;
  if (isEmpty) return;
  const view = shownView();
  if (answers.busiest !== undefined) drawHeat(answers.busiest, view, keptOf(rangeOf(view, now()), answers.main?.droppedBefore, view.timezone), now());
  if (answers.popularity !== undefined) {
    const of = view.storyId.length === 1 ? answers.stories.get(view.storyId[0])?.name ?? view.storyId[0] : 'all stories';
    drawInteractions(answers.popularity, { of, isAll: isAllInteractions }, () => { session.isAllInteractions = true; drawOthers(); });
  }
}

// A zoom from one bucket to another, both in.
function zoom(first, last) {
  const { points, unit, zone } = shownChart();
  if (!points[first] || !points[last]) return;
  if (unit === 'hour') {
    if (first === last) return;
    const end = points[last + 1]?.ms ?? points[last].ms + time.HOUR;
    change({ from: instant(points[first].ms), to: instant(end), dimension: 'auto' }, { isZoom: true });
    return;
  }
  const from = time.day(points[first].ms, zone);
  const lastDay = time.day(points[last].ms, zone);
  const to = { day: lastDay, month: time.lastOfMonth(lastDay), year: `${lastDay.slice(0, 4)}-12-31` }[unit];
  change({ from, to, dimension: 'auto' }, { isZoom: true });
}

// A row of the list filters to it, and a second time to everything.
function picked(key) {
  const name = session.view.group === 'storyId' || (!session.view.group && session.view.list === 'storyId') ? 'storyId' : 'source';
  const isOnly = session.view[name].length === 1 && session.view[name][0] === key;
  change({ [name]: isOnly ? [] : [key] });
}

// Nothing in the range: says so in the chart's place, with ways out.
function drawNothing(view, chart) {
  const host = byId('chart-empty');
  const isNothing = chart.total === 0 && !session.isEmpty;
  host.hidden = !isNothing;
  if (!isNothing) return;
  clearChart();
  const range = rangeOf(view, now());
  const isFiltered = view.source.length + view.storyId.length > 0;
  const span = time.rangeWords(range.first, range.last).replace(' – ', ' to ');
  const what = view.report === 'conversations.average' ? 'conversations' : LABELS[view.report].toLowerCase();
  const when = range.first === range.last ? `on ${span}` : `from ${span}`;
  const last = session.lastEvent === null ? '' : ` The last event came on ${lastWords(Date.parse(session.lastEvent), view.timezone)}.`;
  const button = (text, action) => el('button.button', { type: 'button', onclick: action }, text);
  host.replaceChildren(
    el('span', {}, `No ${what} ${when}${isFiltered ? ' with these filters' : ''}.${last}`),
    el('div', {}, button('Last 30 days', () => change({ period: 'last30days', from: '', to: '' })),
      isFiltered ? button('Clear filters', () => change({ source: [], storyId: [] })) : ''));
}

function lastWords(ms, zone) {
  return `${momentWords(ms, zone)}–${time.timeWords(ms + time.HOUR, zone)}`;
}

function momentWords(ms, zone) {
  const day = time.day(ms, zone);
  return `${time.rangeWords(day, day)}, ${time.timeWords(ms, zone)}`;
}

function drawStates(view, chart, stories) {
  const unknown = [...stories].filter(([, row]) => row === null).map(([id]) => id);
  if (unknown.length > 0) {
    tell('story', unknown.length === 1 ? `No story ${unknown[0]} is known here; its numbers are 0 until an event names it.`
      : `No stories ${unknown.join(', ')} are known here; their numbers are 0 until an event names them.`);
  } else untell('story');
  if (session.faults.length > 0) {
    const words = session.faults.map(({ name, value }) => `${name}=${value.slice(0, 64)}`).join(', ');
    tell('faults', `Left out of the address, since the page does not know it: ${words}`, [['Close', () => { session.faults = []; untell('faults'); }]]);
  } else untell('faults');
  if (chart.droppedBefore !== null) tell('dropped', `What was counted before ${momentWords(chart.droppedBefore, view.timezone)} is no longer kept; it is missing here.`);
  else untell('dropped');
  if (view.timezone !== 'UTC') untell('zone');
  const isOdd = chart.unit === 'day' && chart.points.some((point, index) => index > 0 && time.timeWords(point.ms, chart.zone) !== '00:00' &&
    Math.abs(time.startOfDay(time.day(point.ms, chart.zone), chart.zone) - point.ms) > 60_000);
  if (isOdd) tell('rules', 'tallyd’s time zone rules are older than the browser’s: some days do not begin at midnight.');
  else untell('rules');
}

function drawEmptyCard(isEmpty) {
  const card = byId('empty');
  card.hidden = !isEmpty;
  if (!isEmpty) return;
  const command = `curl ${location.origin}/events --data-binary \\\n  'conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i'`;
  const copy = el('button.button', { type: 'button' }, 'Copy');
  copy.addEventListener('click', () => {
    getSelection().selectAllChildren(card.querySelector('pre'));
    // Pages that came over plain HTTP from elsewhere may not copy; then the text is marked at least.
    navigator.clipboard?.writeText(command).then(() => { copy.textContent = 'Copied'; }, () => {});
  });
  refill(card, el('p', {}, 'Nothing has been counted yet. Send a first event:'), el('pre', { tabindex: '0' }, command));
  card.append(el('div.actions', {}, copy), el('p.note', {}, 'or run `tallyd demo`. It shows here the moment it arrives.'));
}

// How fresh the numbers are.
function pill() {
  const { freshness, heardAt, changedAt, view } = session;
  const button = byId('live');
  const zone = view.timezone;
  const isQuiet = freshness === 'live' && now() - changedAt > QUIET_MS;
  const words = { live: isQuiet ? 'Live, quiet since' : 'Live', paused: 'Paused', wait: 'Reconnecting', stale: 'Stale' }[freshness];
  const at = freshness === 'live' ? time.timeWords(isQuiet ? changedAt : heardAt, zone, !isQuiet) : '';
  button.dataset.state = freshness;
  button.setAttribute('aria-pressed', String(view.live));
  button.querySelector('b').textContent = words;
  button.querySelector('.at').textContent = at;
  tellAloud(view);
  button.title = freshness === 'paused' && view.live ? 'The range is over' : 'Live ( l )';
}

let saidAt = 0;

// Those who listen hear the chosen figure at most once a minute.
function tellAloud(view) {
  const value = byId('figures').querySelector('[aria-pressed="true"] .value')?.textContent;
  if (session.freshness !== 'live' || !value || now() - saidAt < SAID_MS) return;
  if (saidAt > 0) byId('live-said').textContent = `${LABELS[view.report]}: ${value}`;
  saidAt = now();
}
