// The beginning: joins controls and keys to what they do. To find a control's code, look for its id or key here.

import { chartKey, hideTip, resizeChart } from './chart.js';
import { saveCsv } from './csv.js';
import { byId, el } from './dom.js';
import { valueOf } from './format.js';
import { listenHeat } from './heat.js';
import { listen, openKeys } from './keys.js';
import { drawBar, openCompare, openDimension, openFilters, openMore, openPeriod, openSources, openZones } from './menus.js';
import { rangeOf, stepped } from './model.js';
import { tellBriefly } from './notices.js';
import { now, token } from './api.js';
import { openPicker } from './picker.js';
import { openBelow, openDialog, options } from './popup.js';
import { begin, change, changeLook, session } from './session.js';
import { draw, isWall, shownChart } from './show.js';
import { signOut } from './signin.js';
import { checkZone, countStories, signIn, trouble, watchHealth } from './trouble.js';
import { comparedWith } from './compare.js';
import { isZone } from './time.js';
import { GROUPS, parametersOf, REPORTS } from './view.js';

const SCHEME = 'tallyd.scheme';
const LOOKS = { '': 'as the system', light: 'light', dark: 'dark' };
const WEEK_WORDS = { mon: 'Monday', sat: 'Saturday', sun: 'Sunday' };

const range = () => rangeOf(session.view, now());

// A period of months or years has the period before beside it, since weekdays do not pair there.
function choosePeriod(part) {
  const isLong = ['thisYear', 'lastYear'].includes(part.period) && !part.from;
  change({ ...part, ...(isLong && session.view.compare === 'weekday' ? { compare: 'previous' } : {}) });
}

function step(steps) {
  const next = stepped(range(), steps, now(), session.view.timezone);
  if (next) change({ ...next, period: 'last30days' });
}

function sums() {
  const chart = session.answers ? shownChart() : null;
  if (chart?.grouped !== 'source') return new Map();
  return new Map(chart.groups.map((group) => [group.key, valueOf(chart.report, group.total)]));
}

const open = {
  period: () => openPeriod(session.view, range(), now(), choosePeriod),
  dimension: () => openDimension(session.view, range(), change),
  compare: () => openCompare(session.view, change),
  sources: () => openSources(session.view, sums(), change),
  zones: () => openZones(session.view, change),
  stories: () => openPicker(session.view, session.answers?.stories ?? new Map(), now(), {
    choose: change, remember: (row) => session.answers?.stories.set(row.storyId, row),
  }),
};

async function csv(name, isChart) {
  const query = parametersOf(session.view, name, isChart ? { group: session.view.group } : {});
  try {
    await saveCsv(name, query);
  } catch (failure) {
    tellBriefly(`The CSV cannot be had: ${failure.words ?? failure.message}`);
  }
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    tellBriefly('The link is copied.');
  } catch {
    // Pages that came over plain HTTP from elsewhere may not copy.
    openDialog('Link', () => [el('h2', {}, 'Link to this view'), el('input.field', { value: location.href, readonly: true, 'aria-label': 'Link' })]);
  }
}

function chooseScheme() {
  openBelow(byId('more'), 'Scheme', (close) => [options('Scheme', Object.entries(LOOKS).map(([value, text]) => ({ value, text })), localStorage.getItem(SCHEME) ?? '', (scheme) => {
    close();
    localStorage.setItem(SCHEME, scheme);
    wear();
    draw('all');
  })]);
}

function wear() {
  document.documentElement.dataset.scheme = localStorage.getItem(SCHEME) ?? '';
}

function chooseWeek() {
  openBelow(byId('more'), 'Start of the week', (close) => [options('Start of the week', Object.entries(WEEK_WORDS).map(([value, text]) => ({ value, text })), session.view.week,
    (week) => { close(); changeLook({ week }); })]);
}

function more() {
  const { view } = session;
  openMore([
    ['Time zone', view.timezone, open.zones],
    ['Start of the week', WEEK_WORDS[view.week], chooseWeek],
    ['Scheme', LOOKS[localStorage.getItem(SCHEME) ?? ''], chooseScheme],
    ['Earlier', '[', () => step(-1)], ['Later', ']', () => step(1)],
    ['CSV of the chart', 'e', () => csv(view.report, true)],
    ['Copy the link', 'y', copyLink],
    [view.wall ? 'No wall screen' : 'Wall screen', '', () => changeLook({ wall: !view.wall })],
    ['Keys', '?', openKeys],
    ...(token() ? [['Sign out', '', () => { signOut(); signIn(''); }]] : []),
  ]);
}

function filters() {
  const { view } = session;
  const text = (id) => byId(id).querySelector('b').textContent;
  openFilters([
    ['By', view.dimension, open.dimension], ['Against', comparedWith(view.compare), open.compare],
    ['Stories', text('stories'), open.stories], ['Sources', text('sources'), open.sources],
  ]);
}

function splitNext() {
  const group = GROUPS[(GROUPS.indexOf(session.view.group) + 1) % GROUPS.length];
  change(group ? { group, list: group } : { group });
}

function choices(id, chosen) {
  byId(id).addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (button && button.getAttribute('aria-pressed') !== 'true') chosen(button.value);
  });
}

function wire() {
  const onclick = {
    earlier: () => step(-1), later: () => step(1), period: open.period, dimension: open.dimension, compare: open.compare, stories: open.stories,
    sources: open.sources, filters, more, keys: openKeys, live: () => changeLook({ live: !session.view.live }),
    'chart-csv': () => csv(session.view.report, true), 'heat-csv': () => csv('busiest-period'), 'interactions-csv': () => csv('interactions.popularity'),
  };
  for (const [id, action] of Object.entries(onclick)) byId(id).addEventListener('click', action);
  choices('split', (group) => change(group ? { group, list: group } : { group }));
  choices('shape', (value) => changeLook({ table: value === '1' }));
  choices('heat-kind', (heat) => changeLook({ heat }));
  byId('plot').addEventListener('keydown', (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && chartKey(event.key)) event.preventDefault();
  });
  byId('plot').addEventListener('blur', hideTip);
  listenHeat();
  listen({
    '/': open.stories, p: open.period, s: open.sources, z: open.zones, b: open.dimension, c: open.compare, g: splitNext,
    ...Object.fromEntries(REPORTS.map((report, index) => [String(index + 1), () => change({ report })])),
    '[': () => step(-1), ']': () => step(1), t: () => change({ period: 'today', from: '', to: '', dimension: 'auto' }),
    v: () => changeLook({ table: !session.view.table }), l: () => changeLook({ live: !session.view.live }),
    e: () => csv(session.view.report, true), y: copyLink, '?': openKeys,
    Escape: () => {
      if (hideTip()) return;
      if (history.state?.isZoom) history.back();
      else if (session.view.wall) changeLook({ wall: false });
    },
  });
  let timer = 0;
  addEventListener('resize', () => { clearTimeout(timer); timer = setTimeout(() => { resizeChart(); draw('all'); }, 100); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw('all'));
}

wear();
wire();
document.documentElement.classList.toggle('wall', isWall(session.view));
if (isZone(session.view.timezone)) drawBar(session.view, { range: range(), unit: session.view.dimension, stories: new Map(), storyCount: null, limited: 0, steps: { earlier: null, later: null } });
begin(draw, trouble, (zone) => checkZone(zone).catch((failure) => trouble(failure, 0)));
countStories().then(() => draw('all'));
watchHealth();
