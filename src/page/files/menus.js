// The controls of the bar: what each says of the view, and what it opens. Whoever made them is told what was chosen.

import { byId, el } from './dom.js';
import { brief } from './format.js';
import { comparedWith } from './compare.js';
import { periodRange } from './model.js';
import { openBelow, openDialog, options } from './popup.js';
import * as time from './time.js';
import { COMPARISONS, DIMENSIONS, PERIODS, SOURCES } from './view.js';

const PERIOD_WORDS = {
  today: 'Today', yesterday: 'Yesterday', last7days: 'Last 7 days', last30days: 'Last 30 days', thisMonth: 'This month',
  lastMonth: 'Last month', last3Months: 'Last 3 months', thisYear: 'This year', lastYear: 'Last year',
};
const POINTS_MAX = 100_000;
// Names of today for zones that browsers list by an older one.
const RENAMED = ['Asia/Kolkata', 'Asia/Kathmandu', 'Asia/Yangon', 'Asia/Ho_Chi_Minh', 'Europe/Kyiv', 'America/Nuuk', 'Atlantic/Faroe'];
const HOURS_OF = { hour: 1, day: 24, month: 730, year: 8_766 };

// "last 30 days", or the days of a range of its own.
export function periodWords(view, range) {
  return view.from || view.to ? time.rangeWords(range.first, range.last) : PERIOD_WORDS[view.period].toLowerCase();
}

// Writes what is chosen into the bar.
export function drawBar(view, { range, unit, stories, storyCount, limited, steps }) {
  const set = (id, selector, text) => {
    const element = byId(id).querySelector(selector);
    if (element.textContent !== text) element.textContent = text;
  };
  const isOwn = view.from || view.to;
  const dates = range.start !== null || range.end !== null ? instantWords(range, view.timezone) : time.rangeWords(range.first, range.last);
  set('period', 'b', isOwn ? dates : PERIOD_WORDS[view.period]);
  set('period', '.dates', isOwn ? '' : dates);
  byId('earlier').disabled = steps.earlier === null;
  byId('later').disabled = steps.later === null;
  set('dimension', 'b', unit);
  set('compare', 'b', comparedWith(view.compare));
  const one = view.storyId.length === 1 ? stories.get(view.storyId[0])?.name ?? view.storyId[0] : '';
  set('stories', 'b', one || (view.storyId.length > 1 ? `${view.storyId.length} stories` : limited ? `You see ${limited} ${limited === 1 ? 'story' : 'stories'}` : 'All stories'));
  set('stories', '.known', view.storyId.length === 0 && storyCount !== null && !limited ? brief(storyCount) : '');
  set('sources', 'b', view.source.length === 0 ? 'All sources' : view.source.length === 1 ? view.source[0] : `${view.source.length} sources`);
  const filters = view.storyId.length + view.source.length;
  byId('filter-count').textContent = filters > 0 ? String(filters) : '';
}

function instantWords({ start, end, first, last }, zone) {
  const from = start === null ? '00:00' : time.timeWords(start, zone);
  const to = end === null ? '24:00' : time.timeWords(end, zone);
  const rest = first === last ? `${time.dayWords(first, '')} ${from}–${to}` : `${time.dayWords(first, '')} ${from} – ${time.dayWords(last, '')} ${to}`;
  return rest;
}

export function openPeriod(view, range, now, choose) {
  const today = time.day(now, view.timezone);
  openBelow(byId('period'), 'Period', (close) => {
    const words = (period) => {
      const { first, last } = periodRange(period, today);
      return time.rangeWords(first, last);
    };
    const entries = PERIODS.map((period) => ({ value: period, text: PERIOD_WORDS[period], end: words(period) }));
    const list = options('Period', entries, view.from || view.to ? '' : view.period, (period) => { close(); choose({ period, from: '', to: '' }); });
    const date = (name, value) => el('input.field', { type: 'date', name, value, min: '1974-01-01', max: today, 'aria-label': name });
    const [from, to] = [date('from', range.first < '1974-01-01' ? '1974-01-01' : range.first), date('to', range.last)];
    const problem = el('p.note', { role: 'alert' });
    const apply = () => {
      if (!from.value || !to.value) problem.textContent = 'Give both days.';
      else if (from.value > to.value) problem.textContent = 'The first day is after the last.';
      else { close(); choose({ period: 'last30days', from: from.value, to: to.value }); }
    };
    const onkeydown = (event) => { if (event.key === 'Enter') { event.preventDefault(); apply(); } };
    for (const field of [from, to]) field.addEventListener('keydown', onkeydown);
    return [list, el('div.dates-row', {}, el('label', {}, 'First day', from), el('label', {}, 'Last day', to)), problem,
      el('button.button.primary', { type: 'button', onclick: apply }, 'Show these days')];
  });
}

export function openDimension(view, range, choose) {
  const hours = time.daysOf(range.first, range.last) * 24;
  openBelow(byId('dimension'), 'By', (close) => [options('By', DIMENSIONS.map((dimension) => {
    const points = hours / (HOURS_OF[dimension] ?? hours);
    const isOff = points > POINTS_MAX;
    return { value: dimension, text: dimension, isOff, end: isOff ? 'more than 100,000 bars' : dimension === 'auto' ? 'as the range wants' : '' };
  }), view.dimension, (dimension) => { close(); choose({ dimension }); })]);
}

export function openCompare(view, choose) {
  openBelow(byId('compare'), 'Against', (close) => [options('Against',
    COMPARISONS.map((compare) => ({ value: compare, text: comparedWith(compare) })), view.compare, (compare) => { close(); choose({ compare }); })]);
}

// The check list of sources, each with its sum where that is known.
export function openSources(view, sums, choose) {
  openBelow(byId('sources'), 'Sources', (close) => {
    const boxes = SOURCES.map((source) => el('input', { type: 'checkbox', value: source, checked: view.source.length === 0 || view.source.includes(source) }));
    const list = el('div.checks', { role: 'group', 'aria-label': 'Sources' }, ...boxes.map((box, index) => el('label', {},
      box, el('i.swatch.c' + index, { 'aria-hidden': 'true' }), SOURCES[index], sums.has(SOURCES[index]) ? el('span.end', {}, sums.get(SOURCES[index])) : null)));
    const problem = el('p.note', { role: 'alert' });
    const apply = () => {
      const source = boxes.filter((box) => box.checked).map((box) => box.value);
      if (source.length === 0) { problem.textContent = 'Tick one at least.'; return; }
      close();
      choose({ source: source.length === SOURCES.length ? [] : source });
    };
    list.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const at = boxes.indexOf(event.target);
      if (step && at >= 0) { boxes[(at + step + boxes.length) % boxes.length].focus(); event.preventDefault(); }
      if (event.key === 'Enter') { event.preventDefault(); apply(); }
    });
    return [list, problem, el('div.actions', {}, el('button.button.primary', { type: 'button', onclick: apply }, 'Show'),
      el('button.button', { type: 'button', onclick: () => { for (const box of boxes) box.checked = true; } }, 'All'),
      el('button.button', { type: 'button', onclick: () => { for (const box of boxes) box.checked = false; } }, 'None'))];
  });
}

// The browser's zones, searchable, UTC first.
export function openZones(view, choose) {
  const listed = new Set([...(Intl.supportedValuesOf?.('timeZone') ?? []), ...RENAMED.filter(time.isZone), view.timezone]);
  listed.delete('UTC');
  const zones = ['UTC', ...[...listed].sort()];
  openDialog('Time zone', (close) => {
    const field = el('input.field', { type: 'search', 'aria-label': 'Search zones', placeholder: 'City or zone', autocomplete: 'off', autofocus: true });
    const place = el('div', {});
    const show = () => {
      const wanted = field.value.trim().toLowerCase().replaceAll(' ', '_');
      const found = zones.filter((zone) => zone.toLowerCase().includes(wanted));
      const shown = found.slice(0, 40);
      place.replaceChildren(
        shown.length > 0 ? options('Zones', shown.map((zone) => ({ value: zone, text: zone, end: time.offsetText(Date.now(), zone) })), view.timezone, (timezone) => { close(); choose({ timezone }); })
          : el('p.note', {}, 'No zone has this in its name.'),
        found.length > shown.length ? el('p.note', {}, `${shown.length} shown, type on`) : '');
    };
    field.addEventListener('input', show);
    field.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown') { event.preventDefault(); place.querySelector('.options')?.focus(); }
      if (event.key === 'Enter') place.querySelector('li')?.click();
    });
    show();
    return [el('h2', {}, 'Time zone'), field, place];
  });
}

// Everything else: `entries` are `[text, end, action]`.
export function openMore(entries) {
  openBelow(byId('more'), 'More', (close) => [options('More', entries.map(([text, end], index) => ({ value: index, text, end })), -1,
    (index) => { close(); entries[index][2](); })]);
}

// On narrow screens the controls of the middle are behind one button.
export function openFilters(entries) {
  openBelow(byId('filters'), 'Filters', (close) => [el('div.filters-stack', {}, ...entries.map(([text, value, action]) =>
    el('button.button', { type: 'button', onclick: () => { close(); action(); } }, el('span', {}, text), el('b', {}, value))))]);
}
