// The address is the view: what was written is read as the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as v from '../files/view.js';

const initial = v.initialView('Europe/Warsaw', 'mon');
const story = fc.string({ unit: fc.constantFrom(...'0123456789abcdefXYZ'), minLength: 24, maxLength: 24 });
const date = fc.constantFrom('', '2019-3-1', '2019-03-27', '2026-11-29T13:00:00Z', '2026-11-29T13:00:00.250+05:30', '1552813200000');
const views = fc.record({
  report: fc.constantFrom(...v.REPORTS), period: fc.constantFrom(...v.PERIODS), from: date, to: date, dimension: fc.constantFrom(...v.DIMENSIONS),
  compare: fc.constantFrom(...v.COMPARISONS), group: fc.constantFrom(...v.GROUPS), list: fc.constantFrom('source', 'storyId'),
  source: fc.uniqueArray(fc.constantFrom(...v.SOURCES)), storyId: fc.uniqueArray(story, { maxLength: v.STORIES_PICKED_MAX }),
  timezone: fc.constantFrom('UTC', 'Europe/Warsaw', 'Etc/GMT+5', 'America/Argentina/Buenos_Aires'), live: fc.boolean(), table: fc.boolean(),
  heat: fc.constantFrom('sum', 'typical'), week: fc.constantFrom(...v.WEEKS), wall: fc.boolean(),
}).map((view) => ({ ...view, period: view.from || view.to ? 'last30days' : view.period }));

test('any view is read back from its address', () => {
  fc.assert(fc.property(views, (view) => {
    assert.deepEqual(v.readView(v.addressOf(view, initial), initial), { view, faults: [] });
  }), { numRuns: 1_000 });
});

test('an address without anything is the view at first', () => {
  assert.deepEqual(v.readView('', initial), { view: initial, faults: [] });
});

test('zone and comparison are always in the address, and no token ever', () => {
  const address = v.addressOf({ ...initial, dimension: 'day' }, initial);
  assert.equal(address, 'compare=weekday&timezone=Europe/Warsaw');
});

test('what is not understood is named and left out', () => {
  const { view, faults } = v.readView('token=abc&period=never&source=app,fax&storyId=<b>&live=2&dimension=hour', initial);
  assert.deepEqual(faults.map(({ name }) => name), ['token', 'period', 'source', 'storyId', 'live']);
  assert.deepEqual(view, { ...initial, dimension: 'hour' });
});

test('several values come in every form that the API takes', () => {
  for (const query of ['source=app,slack', 'source=app&source=slack', 'source[]=app&source[]=slack', 'source[0]=app&source[1]=slack']) {
    assert.deepEqual(v.readView(query, initial).view.source, ['app', 'slack'], query);
  }
});

test('a report is asked for what it takes', () => {
  const view = { ...initial, source: ['app'], storyId: ['5b07ffafc2376e30306d9b16'], compare: 'year' };
  assert.equal(v.parametersOf(view, 'conversations', { group: 'source', limit: 7 }),
    'period=last30days&dimension=auto&group=source&compare=year&limit=7&source=app&storyId=5b07ffafc2376e30306d9b16&timezone=Europe%2FWarsaw');
  assert.equal(v.parametersOf(view, 'busiest-period'), 'period=last30days&source=app&storyId=5b07ffafc2376e30306d9b16&timezone=Europe%2FWarsaw');
  assert.equal(v.parametersOf({ ...view, from: '2019-03-01' }, 'busiest-period').startsWith('from=2019-03-01&source'), true);
});
