// Makes of answers what is drawn: buckets with their values and those before, groups in their order and colours. Pure, but for
// the colours of stories: the present instant is given. Sums are the daemon's own; only Other is worked out, as the whole without the groups shown.

import * as time from './time.js';
import { SOURCES } from './view.js';

// Local days of a view's range; `end` is the instant it ends at, where it is no day's end.
export function rangeOf(view, now) {
  const zone = view.timezone;
  const today = time.day(now, zone);
  if (!view.from && !view.to) return { ...periodRange(view.period, today), start: null, end: null };
  const from = view.from ? edge(view.from, zone) : { day: '1974-01-01', at: null };
  const to = view.to ? edge(view.to, zone, true) : { day: today, at: now };
  return { first: from.day, last: to.day, isOpen: to.at === null ? to.day >= today : to.at >= now, start: from.at, end: view.to ? to.at : null };
}

// What is kept of a range, where hours before a moment were dropped.
export function keptOf(range, droppedBefore, zone) {
  const moment = Date.parse(droppedBefore ?? '');
  const isCut = moment > (range.start ?? -Infinity) && time.day(moment, zone) >= range.first;
  return isCut ? { ...range, first: time.day(moment, zone), start: moment } : range;
}

function edge(text, zone, isEnd = false) {
  if (/^\d{4}-\d{1,2}-\d{1,2}$/.test(text)) {
    return { day: text.split('-').map((part) => part.padStart(2, '0')).join('-'), at: null };
  }
  const at = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return { day: time.day(isEnd ? at - 1 : at, zone), at };
}

export function periodRange(period, today) {
  const month = time.firstOfMonth(today);
  const year = `${today.slice(0, 4)}-01-01`;
  const open = (first) => ({ first, last: today, isOpen: true });
  const closed = (first, last) => ({ first, last, isOpen: false });
  const before = time.addDays(month, -1);
  const lastYear = String(Number(today.slice(0, 4)) - 1).padStart(4, '0');
  return {
    today: () => open(today),
    yesterday: () => closed(time.addDays(today, -1), time.addDays(today, -1)),
    last7days: () => open(time.addDays(today, -6)),
    last30days: () => open(time.addDays(today, -29)),
    thisMonth: () => open(month),
    lastMonth: () => closed(time.firstOfMonth(before), before),
    last3Months: () => open(time.addDays(time.addMonths(today, -3), 1)),
    thisYear: () => open(year),
    lastYear: () => closed(`${lastYear}-01-01`, `${lastYear}-12-31`),
  }[period]();
}

// The range before or after, of the same length: whole months by months, else days; `null` after the present.
export function stepped(range, steps, now, zone) {
  const today = time.day(now, zone);
  if (range.start !== null && range.end !== null) {
    const length = range.end - range.start;
    const [from, to] = [range.start + steps * length, range.end + steps * length];
    if (from > now) return null;
    return { from: instant(from), to: instant(to) };
  }
  const isMonths = range.first.endsWith('-01') && (range.last === time.lastOfMonth(range.last) || (range.isOpen && range.last === today && time.daysOf(range.first, range.last) > 7));
  let [first, last] = [range.first, range.last];
  if (isMonths) {
    const months = (Number(last.slice(0, 4)) - Number(first.slice(0, 4))) * 12 + Number(last.slice(5, 7)) - Number(first.slice(5, 7)) + 1;
    first = time.addMonths(first, steps * months);
    last = time.lastOfMonth(time.addMonths(first, months - 1));
  } else {
    const days = time.daysOf(first, last);
    [first, last] = [time.addDays(first, steps * days), time.addDays(last, steps * days)];
  }
  if (first > today || first < '1974-01-01') return null;
  return { from: first, to: last > today ? today : last };
}

// An instant as the API takes it, to the second.
export const instant = (ms) => new Date(ms).toISOString().replace('.000Z', 'Z');

// The unit of the buckets, as their distance tells it; a single one has the unit that was asked for.
function unitOf(data, asked, range) {
  if (asked !== 'auto') return asked;
  if (data.length < 2) return time.daysOf(range.first, range.last) <= 2 ? 'hour' : 'day';
  const distance = Date.parse(data[1].date) - Date.parse(data[0].date);
  if (distance <= 2 * time.HOUR) return 'hour';
  return distance < 3 * time.DAY ? 'day' : distance < 40 * time.DAY ? 'month' : 'year';
}

// The charted report, ready to be drawn.
export function chartOf(view, answer, stories, now) {
  const zone = view.timezone;
  const range = rangeOf(view, now);
  const unit = unitOf(answer.data, view.dimension, range);
  const before = answer.compare?.data ?? [];
  const points = answer.data.map(({ date, value }, index) => ({
    ms: Date.parse(date), value, before: before[index]?.value ?? null, beforeMs: before[index] ? Date.parse(before[index].date) : null,
  }));
  markUnknown(points, view, stories, now, answer.droppedBefore);
  const pairing = answer.compare ? pairingOf(points, unit, zone) : 'none';
  const present = points.findLastIndex((point) => point.ms <= now);
  const isPresent = range.isOpen && present >= 0 && time.bucketName(points[present].ms, unit, zone) === time.bucketName(now, unit, zone);
  const average = view.report === 'conversations.average';
  const groups = groupsOf(answer, average, stories);
  return {
    report: view.report, zone, range, unit, points, pairing, openAt: isPresent ? present : -1, groups, average, summary: answer.summary, overall: answer.overall,
    before: answer.compare ?? null, total: totalOf(answer, average), split: view.group, omitted: answer.groupsOmitted ?? 0,
    droppedBefore: answer.droppedBefore ? Date.parse(answer.droppedBefore) : null,
    isCutAtFirst: points.length > 0 && range.start !== null && points[0].ms < range.start, compare: view.compare, grouped: view.group || view.list,
  };
}

// Buckets of which nothing can be known: those whose hours were dropped, those before the first event of the one story that is picked,
// and those to come.
function markUnknown(points, view, stories, now, droppedBefore) {
  const first = view.storyId.length === 1 ? Date.parse(stories.get(view.storyId[0])?.firstEvent ?? '') : NaN;
  points.forEach((point, index) => {
    const end = points[index + 1]?.ms ?? Infinity;
    point.unknown = end <= Date.parse(droppedBefore ?? '') ? 'no longer kept' : end <= first ? 'before its first event' : point.ms > now ? 'not yet' : '';
  });
}

export function totalOf(answer, average) {
  return average ? answer.overall : answer.summary.total;
}

// Two decimals are as much as this away from what they stand for, and a last digit of the reckoning's own.
const MOST_ROUNDED = 0.005 + 1e-9;

// The average of the three answers as their sums have it. The one that is told has two decimals, and a change between two such is that
// of the rounding; it stands where the sums are of another moment, or past what JavaScript counts by one.
export function averageOf(answer, messages, conversations) {
  const exact = Number(messages?.summary.total) / Number(conversations?.summary.total);
  return Math.abs(exact - answer.overall) <= MOST_ROUNDED ? exact : answer.overall;
}

// Whether each bucket may stand beside the one before it: the same weekday, hour, or place in the year.
function pairingOf(points, unit, zone) {
  const pairs = points.filter((point) => point.beforeMs !== null);
  if (pairs.length === 0) return 'early';
  if (unit === 'month' || unit === 'year') return 'paired';
  const place = (ms) => (unit === 'hour' ? time.clock(ms, zone).hour : 0);
  const isOneDay = unit === 'hour' && points.length <= 49;
  const isSame = ({ ms, beforeMs }) =>
    place(ms) === place(beforeMs) && (isOneDay || time.weekday(time.day(ms, zone)) === time.weekday(time.day(beforeMs, zone)));
  return pairs.every(isSame) ? 'paired' : 'unlike';
}

// Groups in the order of their sums, each with its place among the seven colours; past those a group has that of Other.
function groupsOf(answer, average, stories) {
  const groups = answer.groups ?? [];
  const places = placesOf(groups.slice(0, 7).map((group) => group.storyId).filter(Boolean));
  return groups.map((group) => {
    const before = group.compare ?? null;
    return {
      key: group.source ?? group.storyId,
      name: group.source ?? group.name ?? stories.get(group.storyId)?.name ?? group.storyId,
      colour: group.source ? SOURCES.indexOf(group.source) : places.get(group.storyId) ?? 7,
      values: group.data.map((point) => point.value),
      total: average ? group.overall : group.summary.total,
      before: before ? (average ? before.overall : before.summary.total) : answer.compare ? 0 : null,
    };
  });
}

// The colours of stories: one keeps its own while it stays in view.
let places = new Map();

function placesOf(ids) {
  const kept = new Map([...places].filter(([id]) => ids.includes(id)));
  for (const id of ids.filter((story) => !kept.has(story))) {
    kept.set(id, [0, 1, 2, 3, 4, 5, 6].find((place) => ![...kept.values()].includes(place)));
  }
  places = kept;
  return kept;
}

// What the groups shown leave of the whole, bucket by bucket; `null` where nothing, or for averages, which do not add up.
export function otherOf(chart, shown) {
  const rest = chart.groups.length - shown.length + chart.omitted;
  if (chart.average || rest <= 0) return null;
  const values = chart.points.map((point, index) => shown.reduce((left, group) => left - (group.values[index] ?? 0), point.value));
  const total = shown.reduce((left, group) => left - group.total, chart.total);
  return { key: '', name: 'Other', colour: 7, values, total, before: null, rest };
}
