// What is said of one bucket: date, sum, change, the groups by value. As elements for the tooltip, as words for those who listen.

import { el, named } from './dom.js';
import { average, changeText, count, valueOf } from './format.js';
import { earlier } from './compare.js';
import { layersOf } from './paint.js';
import * as time from './time.js';

const ROWS_MAX = 8;

function title(chart, index) {
  return time.bucketWords(chart.points[index].ms, chart.unit, chart.zone);
}

// Why a bucket is not whole, or odd.
function oddity(chart, index) {
  const { points, unit, zone, openAt, isCutAtFirst, range } = chart;
  if (points[index].unknown) return points[index].unknown;
  if (index === openAt) return 'so far';
  if (isCutAtFirst && index === 0) return `from ${time.timeWords(range.start, zone)}`;
  return unit === 'day' ? time.oddDay(points[index].ms, zone) : '';
}

function against(chart, index) {
  const { before, beforeMs, value } = chart.points[index];
  if (before === null || chart.pairing !== 'paired') return null;
  const date = chart.unit === 'hour'
    ? `${time.dayWords(time.day(beforeMs, chart.zone), '')} ${time.timeWords(beforeMs, chart.zone)}`
    : chart.unit === 'day' ? time.dayWords(time.day(beforeMs, chart.zone), time.day(chart.points[index].ms, chart.zone))
      : time.bucketName(beforeMs, chart.unit, chart.zone);
  return { text: changeText(value, before), date };
}

// What a value is made of: "1,204 messages ÷ 170 conversations".
function quotient(chart, index, figures) {
  if (!chart.average) return '';
  const [messages, conversations] = ['conversations.messages', 'conversations'].map((name) => figures[name]?.data[index]?.value);
  if (messages === undefined || conversations === undefined) return '';
  return `${count(messages)} messages ÷ ${count(conversations)} conversations`;
}

function groupRows(chart, index) {
  if (!chart.split) return { rows: [], more: 0 };
  const rows = layersOf(chart).map((layer) => ({ layer, value: layer.values[index] ?? 0 }));
  rows.sort((a, b) => b.value - a.value);
  const shown = rows.filter((row) => row.value > 0);
  return { rows: shown.slice(0, ROWS_MAX), more: Math.max(0, shown.length - ROWS_MAX) };
}

// The content of the tooltip.
export function tooltip(chart, index, figures, label) {
  const point = chart.points[index];
  const odd = oddity(chart, index);
  const change = against(chart, index);
  const { rows, more } = groupRows(chart, index);
  const isNone = chart.average && point.value === 0;
  const line = (name, value, kind = '') => el(kind ? `tr.${kind}` : 'tr', {}, el('td', {}, name), el('td.num', {}, value));
  return [
    el('b', {}, title(chart, index)),
    odd && el('p', {}, odd),
    change && el('p', {}, el('b', {}, change.text), ` against ${change.date}`),
    quotient(chart, index, figures) && el('p', {}, quotient(chart, index, figures)),
    el('table', { role: 'presentation' },
      line(label, isNone ? 'no conversation' : valueOf(chart.report, point.value), 'sum'),
      ...rows.map(({ layer, value }) => el('tr', {},
        el('td', {}, el(`i.swatch.c${layer.colour}`), layer.key ? named(layer.name) : otherName(layer)),
        el('td.num', {}, valueOf(chart.report, value)))),
      more > 0 ? line(`and ${more} more`, '', 'dim') : null,
      point.before !== null && chart.pairing === 'paired' ? line(earlier(chart), valueOf(chart.report, point.before), 'dim') : null),
  ].filter(Boolean);
}

export function otherName(other) {
  return `Other, ${count(other.rest)}`;
}

// The same as one sentence.
export function said(chart, index) {
  const point = chart.points[index];
  const value = chart.average && point.value === 0 ? 'no conversation' : chart.average ? average(point.value) : count(point.value);
  const change = against(chart, index);
  const { rows } = groupRows(chart, index);
  return [
    `${title(chart, index)}${oddity(chart, index) ? `, ${oddity(chart, index)}` : ''}: ${value}`,
    change && `${change.text} against ${change.date}`,
    ...rows.map(({ layer, value: part }) => `${layer.name} ${valueOf(chart.report, part)}`),
  ].filter(Boolean).join('; ');
}
