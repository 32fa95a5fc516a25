// Words about what a chart is compared with, and about its open bucket. Pure.

import * as time from './time.js';

const COMPARED = { weekday: 'same weekdays before', previous: 'the period before', year: 'the year before', '': 'nothing' };

export function comparedWith(kind) {
  return COMPARED[kind];
}

const NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];

// "five weeks earlier", "a year earlier", "the period before": what the values before are, in brief.
export function earlier(chart) {
  const { points, compare, unit } = chart;
  const pair = points.find((point) => point.beforeMs !== null);
  if (compare === 'year') return 'a year earlier';
  if (!pair || unit === 'month' || unit === 'year') return 'the period before';
  const days = Math.round((pair.ms - pair.beforeMs) / time.DAY);
  if (days === 1) return 'a day earlier';
  if (days % 7 !== 0) return `${days} days earlier`;
  const weeks = days / 7;
  return weeks === 1 ? 'a week earlier' : `${NUMBERS[weeks] ?? weeks} weeks earlier`;
}

// What stands under the chart's title: how it is split, what the short lines are, until when the open bucket is counted.
export function chartNote(chart, now) {
  const isLines = chart.average;
  const by = { source: 'source', storyId: 'story' }[chart.split];
  const parts = [];
  if (by) parts.push(isLines ? `One line for each ${by}.` : `Stacked by ${by}.`);
  if (isLines) parts.push('Days and hours without a conversation are gaps.');
  parts.push(pairingNote(chart));
  if (chart.openAt >= 0) {
    const what = { hour: 'The present hour', day: 'Today', month: 'This month', year: 'This year' }[chart.unit];
    parts.push(`${what} is counted until ${time.timeWords(now, chart.zone)}.`);
  }
  if (chart.isCutAtFirst) parts.push(`The first bar is counted from ${time.timeWords(chart.range.start, chart.zone)}.`);
  if (isLines && chart.unit === 'hour') parts.push('Messages may fall into a later hour than their conversation.');
  return parts.filter(Boolean).join(' ');
}

function pairingNote(chart) {
  if (chart.compare === '') return '';
  const { pairing, before } = chart;
  if (pairing === 'early') return 'It is too early to compare.';
  if (pairing === 'none') return '';
  if (pairing === 'unlike') {
    const [from, to] = [time.day(Date.parse(before.from), chart.zone), time.day(Date.parse(before.to) - 1, chart.zone)];
    return `Compared by its sum alone with ${time.rangeWords(from, to)}, whose weekdays differ.`;
  }
  const same = chart.unit === 'hour' ? 'hour' : chart.unit === 'day' && chart.compare !== 'year' ? 'weekday' : chart.unit;
  const marks = chart.average ? 'Short lines' : chart.points.length > 120 ? 'Thin line' : 'Short lines';
  return `${marks}: the same ${same} ${earlier(chart)}.`;
}

// One sentence about the whole chart, for those who do not see it.
export function chartSaid(chart, valueText) {
  const { points, unit, zone, summary } = chart;
  if (points.length === 0) return 'Nothing is in the range.';
  const whole = points.filter((point, index) => index !== chart.openAt && !point.unknown);
  const closed = whole.length > 0 ? whole : points;
  const least = closed.reduce((a, b) => (b.value < a.value ? b : a));
  const most = closed.reduce((a, b) => (b.value > a.value ? b : a));
  const name = (point) => time.bucketWords(point.ms, unit, zone);
  const sum = chart.average ? `overall ${valueText(chart.overall)}` : `sum ${valueText(summary.total)}`;
  return `${points.length} ${unit}${points.length === 1 ? '' : 's'}, least ${valueText(least.value)} on ${name(least)}, ` +
    `most ${valueText(most.value)} on ${name(most)}, ${sum}.`;
}
