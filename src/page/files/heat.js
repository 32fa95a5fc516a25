// The busiest period: conversations by weekday and hour, as a table whose cells are tinted by rank. On phones the hours go down.

import { byId, el, refill } from './dom.js';
import { count, percent, twoDigits } from './format.js';
import * as time from './time.js';

const CUTS = [0.25, 0.5, 0.75, 0.92];
const FIRST = { sun: 0, mon: 1, sat: 6 };
const SHORT = time.WEEKDAYS.map((name) => name.slice(0, 3));

// How often each hour of the week is in the range, up to now.
export function occurrences(range, now, zone) {
  const times = time.WEEKDAYS.map(() => new Array(24).fill(0));
  const today = time.day(now, zone);
  const [start, end] = [range.start ?? -Infinity, Math.min(range.end ?? Infinity, now)];
  const hourAt = (ms) => time.clock(ms, zone).hour;
  for (let day = range.first; day <= range.last && day <= today; day = time.addDays(day, 1)) {
    const first = day === range.first && Number.isFinite(start) ? hourAt(start) : 0;
    const isCut = day === today || (day === range.last && range.end !== null);
    const last = isCut ? hourAt(end - (day === today ? 0 : 1)) : 23;
    const of = times[time.weekday(day)];
    for (let hour = first; hour <= last; hour += 1) of[hour] += 1;
  }
  return times;
}

// The upper bounds of the first four classes of non-zero values, without bounds that are equal.
export function classBounds(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  if (sorted.length === 0) return [];
  const bounds = CUTS.map((cut) => Math.max(1, twoDigits(sorted[Math.min(sorted.length - 1, Math.floor(cut * sorted.length))])));
  return bounds.map((bound, index) => Math.max(bound, index === 0 ? bound : bounds[index - 1]));
}

export function classOf(value, bounds) {
  if (value <= 0) return 0;
  const found = bounds.findIndex((bound) => value <= bound);
  return found < 0 ? 5 : found + 1;
}

// Draws it of the answer; `null` where several stories are picked.
export function drawHeat(answer, view, range, now) {
  const host = byId('heat');
  if (answer === null) {
    byId('busiest-note').textContent = 'By weekday and hour.';
    refill(host, el('p.said', {}, 'This report is about one story or all of them. Pick one story to see it.'));
    return;
  }
  const times = occurrences(range, now, view.timezone);
  const isTypical = view.heat === 'typical';
  const valueAt = (day, hour) => {
    const value = answer[day][hour].value;
    return !isTypical ? value : times[day][hour] > 0 ? value / times[day][hour] : 0;
  };
  const days = [...Array(7).keys()].map((index) => (FIRST[view.week] + index) % 7);
  const cells = days.flatMap((day) => [...Array(24).keys()].map((hour) => ({ day, hour, value: valueAt(day, hour), sum: answer[day][hour].value, usage: answer[day][hour].usage, times: times[day][hour] })));
  const bounds = classBounds(cells.map((cell) => cell.value));
  const most = cells.reduce((a, b) => (b.value > a.value ? b : a));
  const present = { day: time.weekday(time.day(now, view.timezone)), hour: time.clock(now, view.timezone).hour };
  const model = { cells, bounds, most, present: range.isOpen ? present : null, isTypical, isNumbers: view.table, days };
  note(model, times, range);
  const isTurned = matchMedia('(max-width: 600px)').matches;
  // Tab leads to one cell, the last that was walked to; arrows lead on.
  model.at = host.querySelector('.cell[tabindex="0"]')?.dataset.at ?? `${days[0]}-0`;
  refill(host, isTurned ? turned(model) : level(model), legend(bounds, isTypical));
}

// Listens for the pointer, the focus and the arrows; once.
export function listenHeat() {
  const host = byId('heat');
  for (const event of ['mouseover', 'focusin']) host.addEventListener(event, ({ target }) => tell(target.closest('.cell')));
  host.addEventListener('keydown', (event) => move(event, host));
}

function text(value, isTypical) {
  return isTypical && value < 100 ? value.toLocaleString(undefined, { maximumFractionDigits: 1 }) : count(isTypical ? Math.round(value) : value);
}

function note({ most, isTypical, days, cells }, times, range) {
  if (most.value === 0) {
    byId('busiest-note').textContent = 'No conversations in this range.';
    return;
  }
  const place = `${time.WEEKDAYS[most.day]}s ${hours(most.hour)}`;
  const value = isTypical ? `${text(most.value, true)} conversations in a typical hour` : `${count(most.value)} conversations, ${percent(most.usage)} of all`;
  const often = days.map((day) => Math.max(...times[day]));
  byId('busiest-note').replaceChildren('Most on ', el('b', {}, place), `: ${value}. ${oftenWords(days, often, range, cells)}`);
}

// "5 Saturdays and Sundays, 4 of each other day", where weekdays are not equally many.
function oftenWords(days, often) {
  const most = Math.max(...often);
  const least = Math.min(...often);
  if (least === 0) return 'Hatched weekdays are not in the range.';
  if (most === least) return '';
  const names = (number) => days.filter((_, index) => often[index] === number).map((day) => `${time.WEEKDAYS[day]}s`);
  const [rare, frequent] = [names(least), names(most)];
  const list = (of) => of.join(', ').replace(/, ([^,]*)$/, ' and $1');
  return frequent.length <= rare.length ? `${most} ${list(frequent)}, ${least} of each other day.` : `${least} ${list(rare)}, ${most} of each other day.`;
}

const hours = (hour) => `${String(hour).padStart(2, '0')}:00–${String((hour + 1) % 24).padStart(2, '0')}:00`;

function cellOf(cell, { at, bounds, most, present, isTypical, isNumbers }) {
  const isOut = cell.times === 0 && cell.sum === 0;
  const marks = [isOut ? 'out' : '', cell === most && most.value > 0 ? 'most' : '', present && cell.day === present.day && cell.hour === present.hour ? 'now' : ''];
  const words = isOut
    ? `${time.WEEKDAYS[cell.day]} ${hours(cell.hour)}: not in the range`
    : `${time.WEEKDAYS[cell.day]} ${hours(cell.hour)}: ${isTypical ? `${text(cell.value, true)} in a typical hour, ${count(cell.sum)} in all` : count(cell.sum)}, ${percent(cell.usage)}`;
  const shown = isOut ? '' : text(cell.value, isTypical);
  return el(['td', 'cell', `h${classOf(cell.value, bounds)}`, ...marks].filter(Boolean).join('.'), {
    tabindex: at === `${cell.day}-${cell.hour}` ? '0' : '-1', 'aria-label': words, 'data-at': `${cell.day}-${cell.hour}`,
  }, isNumbers ? shown : el('span.unseen', {}, shown));
}

function sums(model, cells) {
  const sum = cells.reduce((left, cell) => left + cell.value, 0);
  return text(sum, model.isTypical);
}

// Weekdays down, hours across.
function level(model) {
  const head = [...Array(24).keys()].map((hour) => el('th', { scope: 'col' }, hour % 3 === 0 ? String(hour) : el('span.unseen', {}, String(hour))));
  const rows = model.days.map((day) => {
    const cells = model.cells.filter((cell) => cell.day === day);
    return el('tr', {}, el('th.row', { scope: 'row' }, SHORT[day]), ...cells.map((cell) => cellOf(cell, model)), el('td.sum', {}, sums(model, cells)));
  });
  const columns = [...Array(24).keys()].map((hour) => model.cells.filter((cell) => cell.hour === hour).reduce((left, cell) => left + cell.value, 0));
  const most = Math.max(...columns, 1);
  const foot = el('tr', {}, el('th.row', { scope: 'row' }, 'All'), ...columns.map((value) => {
    const bar = el('i', { 'aria-hidden': 'true' });
    bar.style.height = `${Math.round((value / most) * 38)}px`;
    return el('td.column', {}, bar, el('span.unseen', {}, text(value, model.isTypical)));
  }), el('td.sum', {}, sums(model, model.cells)));
  return el(model.isNumbers ? 'table.numbers' : 'table', {}, caption(model),
    el('thead', {}, el('tr', {}, el('td.row', {}), ...head, el('th.sum', { scope: 'col' }, model.isTypical ? 'Typical' : 'Sum'))), el('tbody', {}, ...rows, foot));
}

// Hours down, weekdays across.
function turned(model) {
  const rows = [...Array(24).keys()].map((hour) => el('tr', {},
    el('th.row', { scope: 'row' }, hour % 3 === 0 ? `${hour}:00` : el('span.unseen', {}, `${hour}:00`)),
    ...model.days.map((day) => cellOf(model.cells.find((cell) => cell.day === day && cell.hour === hour), model))));
  const foot = el('tr', {}, el('th.row', { scope: 'row' }, 'Sum'), ...model.days.map((day) => el('td.num', {}, sums(model, model.cells.filter((cell) => cell.day === day)))));
  return el(`table.turned${model.isNumbers ? '.numbers' : ''}`, {}, caption(model),
    el('thead', {}, el('tr', {}, el('td.row', {}), ...model.days.map((day) => el('th', { scope: 'col' }, SHORT[day])))), el('tbody', {}, ...rows, foot));
}

function caption({ isTypical }) {
  return el('caption.unseen', {}, isTypical ? 'Conversations in a typical hour, by weekday and hour' : 'Conversations by weekday and hour');
}

function legend(bounds, isTypical) {
  const entry = (index, words) => el('span', {}, el(`i.h${index}`, { 'aria-hidden': 'true' }), words);
  if (bounds.length === 0) return el('div.legend', {}, entry(0, 'none'));
  const from = (index) => (isTypical ? `over ${count(bounds[index - 1])}` : count(bounds[index - 1] + 1));
  const entries = bounds.map((bound, index) => {
    if (index > 0 && bound === bounds[index - 1]) return null;
    if (index === 0) return entry(1, isTypical || bound === 1 ? `up to ${count(bound)}` : `1–${count(bound)}`);
    return entry(index + 1, isTypical ? `${from(index)}, up to ${count(bound)}` : bounds[index - 1] + 1 === bound ? count(bound) : `${from(index)}–${count(bound)}`);
  });
  return el('div.legend', {}, entry(0, 'none'), ...entries, entry(5, `over ${count(bounds.at(-1))}`));
}

function tell(cell) {
  if (cell) byId('heat-said').textContent = cell.getAttribute('aria-label');
}

function move(event, host) {
  const cell = event.target.closest('.cell');
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -24], End: [0, 24] }[event.key];
  if (!cell || !step) return;
  const rows = [...host.querySelectorAll('tbody tr')].map((row) => [...row.querySelectorAll('.cell')]).filter((row) => row.length > 0);
  const row = rows.findIndex((cells) => cells.includes(cell));
  const column = rows[row].indexOf(cell);
  const next = rows[Math.min(Math.max(row + step[0], 0), rows.length - 1)];
  const target = next[Math.min(Math.max(column + step[1], 0), next.length - 1)];
  event.preventDefault();
  event.stopPropagation();
  cell.setAttribute('tabindex', '-1');
  target.setAttribute('tabindex', '0');
  target.focus();
}
