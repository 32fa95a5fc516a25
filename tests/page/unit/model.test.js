// Ranges, steps, pairing, groups and classes: what is drawn of the answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classBounds, classOf, occurrences } from '../files/heat.js';
import * as m from '../files/model.js';
import { initialView } from '../files/view.js';

const NOW = Date.parse('2026-11-29T13:03:22Z');
const view = (part) => ({ ...initialView('Europe/Warsaw', 'mon'), ...part });
const days = (first, values) => values.map((value, index) => ({ date: new Date(Date.parse(first) + index * 86_400_000).toISOString(), value }));
const total = (values) => ({ total: values.reduce((a, b) => a + b, 0) });

test('periods are those of the contract', () => {
  for (const [period, first, last] of [
    ['today', '2026-11-29', '2026-11-29'], ['yesterday', '2026-11-28', '2026-11-28'], ['last7days', '2026-11-23', '2026-11-29'],
    ['last30days', '2026-10-31', '2026-11-29'], ['thisMonth', '2026-11-01', '2026-11-29'], ['lastMonth', '2026-10-01', '2026-10-31'],
    ['last3Months', '2026-08-30', '2026-11-29'], ['thisYear', '2026-01-01', '2026-11-29'], ['lastYear', '2025-01-01', '2025-12-31'],
  ]) {
    const range = m.rangeOf(view({ period }), NOW);
    assert.deepEqual([range.first, range.last], [first, last], period);
    assert.equal(range.isOpen, last === '2026-11-29', period);
  }
});

test('a step goes by the range’s own length and not into the future', () => {
  const step = (part, steps) => m.stepped(m.rangeOf(view(part), NOW), steps, NOW, 'Europe/Warsaw');
  assert.deepEqual(step({ period: 'last7days' }, -1), { from: '2026-11-16', to: '2026-11-22' });
  assert.deepEqual(step({ period: 'lastMonth' }, -1), { from: '2026-09-01', to: '2026-09-30' });
  assert.deepEqual(step({ period: 'thisMonth' }, -1), { from: '2026-10-01', to: '2026-10-31' });
  assert.deepEqual(step({ from: '2026-11-20', to: '2026-11-26' }, 1), { from: '2026-11-27', to: '2026-11-29' });
  assert.equal(step({ period: 'last30days' }, 1), null);
  assert.deepEqual(step({ from: '2026-11-28T12:00:00Z', to: '2026-11-28T15:00:00Z' }, -1), { from: '2026-11-28T09:00:00Z', to: '2026-11-28T12:00:00Z' });
});

test('markers stand only where buckets pair by weekday', () => {
  const chart = (first) => m.chartOf(view({}), {
    data: days('2026-11-22T23:00Z', [1, 2, 3]), summary: total([1, 2, 3]), compare: { from: first, to: first, data: days(first, [1, 1, 1]), summary: total([1, 1, 1]) },
  }, new Map(), NOW);
  assert.equal(chart('2026-11-15T23:00Z').pairing, 'paired');
  assert.equal(chart('2026-11-16T23:00Z').pairing, 'unlike');
});

test('what the groups leave is Other, bucket by bucket', () => {
  const groups = ['a', 'b'].map((name, index) => ({ source: ['app', 'slack'][index], data: days('2026-11-22T23:00Z', [1, index]), summary: total([1, index]) }));
  const chart = m.chartOf(view({ group: 'source' }), { data: days('2026-11-22T23:00Z', [5, 4]), summary: total([5, 4]), groups, groupsOmitted: 3 }, new Map(), NOW);
  const other = m.otherOf(chart, chart.groups);
  assert.deepEqual([other.values, other.total, other.rest], [[3, 3], 6, 3]);
});

test('a story keeps its colour while it stays in view', () => {
  const ids = [...'abcdefgh'].map((letter) => letter.repeat(24));
  const answer = (order) => ({ data: [], summary: total([]), groups: order.map((storyId) => ({ storyId, data: [], summary: total([]) })) });
  const colours = (order) => Object.fromEntries(m.chartOf(view({ group: 'storyId' }), answer(order), new Map(), NOW).groups.map(({ key, colour }) => [key, colour]));
  const before = colours(ids.slice(0, 3));
  const after = colours([ids[2], ids[4], ids[0]]);
  assert.equal(after[ids[0]], before[ids[0]]);
  assert.equal(after[ids[2]], before[ids[2]]);
  assert.equal(after[ids[4]], before[ids[1]], 'the free one');
});

test('hours of the week are counted up to now', () => {
  const times = occurrences(m.rangeOf(view({ period: 'last7days' }), NOW), NOW, 'Europe/Warsaw');
  assert.deepEqual(times.map((of) => of[23]), [0, 1, 1, 1, 1, 1, 1]);
  assert.equal(times[0][14], 1, 'the present hour is under way');
  assert.equal(times[0][15], 0);
});

test('hours that were dropped are not among those that a typical one is worked out of', () => {
  const range = (from, part) => m.rangeOf(view({ from, to: '2026-11-28', ...part }), NOW);
  const kept = (from, moment, zone) => occurrences(m.keptOf(range(from, { timezone: zone }), moment, zone), NOW, zone);
  const november = occurrences(range('2026-11-01', { timezone: 'UTC' }), NOW, 'UTC');
  assert.deepEqual(kept('2026-08-01', '2026-11-01T00:00:00.000Z', 'UTC'), november);
  assert.deepEqual(kept('2026-11-01', '2026-11-01T00:00:00.000Z', 'UTC'), november);
  assert.deepEqual(kept('2026-11-01', '2026-10-01T00:00:00.000Z', 'UTC'), november);
  assert.deepEqual(kept('2026-11-01', undefined, 'UTC'), november);
  assert.deepEqual(kept('2026-08-01', '2026-12-01T00:00:00.000Z', 'UTC').flat().filter((times) => times > 0), []);
  // In Warsaw the first hour of that Sunday is of October in UTC.
  const warsaw = kept('2026-08-01', '2026-11-01T00:00:00.000Z', 'Europe/Warsaw');
  assert.deepEqual([warsaw[0][0], warsaw[0][1], warsaw[1][0]], [3, 4, 4]);
});

test('classes cut at ranks, so that one peak does not flatten the rest', () => {
  const values = [...Array(100).keys()].map((value) => value + 1);
  const bounds = classBounds([...values, 1_000_000]);
  assert.deepEqual(bounds, [26, 51, 76, 93]);
  for (const [value, expected] of [[0, 0], [1, 1], [26, 1], [27, 2], [76, 3], [93, 4], [94, 5], [1e6, 5]]) assert.equal(classOf(value, bounds), expected, `${value}`);
  assert.deepEqual(classBounds([0, 0]), []);
});

test('the change of an average follows its sums, not its two decimals', () => {
  const sum = (value) => ({ summary: { total: value } });
  assert.equal(m.averageOf({ overall: 6.98 }, sum(69_750), sum(10_000)), 6.975);
  // Sums of another moment, none yet, and no conversation at all.
  assert.equal(m.averageOf({ overall: 6.98 }, sum(69_999), sum(10_000)), 6.98);
  assert.equal(m.averageOf({ overall: 6.98 }, undefined, sum(10_000)), 6.98);
  assert.equal(m.averageOf({ overall: 0 }, sum(0), sum(0)), 0);
});

test('buckets whose hours were dropped are no longer kept, and the one that was cut is shown', () => {
  const answer = { data: days('2026-11-22T23:00Z', [0, 4, 5]), summary: total([0, 4, 5]), droppedBefore: '2026-11-24T09:00:00.000Z' };
  const chart = m.chartOf(view({}), answer, new Map(), NOW);
  assert.deepEqual(chart.points.map((point) => point.unknown), ['no longer kept', '', '']);
  assert.equal(chart.droppedBefore, Date.parse('2026-11-24T09:00Z'));
  delete answer.droppedBefore;
  const whole = m.chartOf(view({}), answer, new Map(), NOW);
  assert.deepEqual([whole.droppedBefore, ...whole.points.map((point) => point.unknown)], [null, '', '', '']);
});
