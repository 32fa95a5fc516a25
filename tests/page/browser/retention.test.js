// Months that were dropped: the page says from when counts are kept, and shades the hours before that, which are no zeros.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { api, endAll, noFaultsAnywhere, openPage, send, settled, startDaemon, storyId } from './support.js';

const FOLDER = process.env.PICTURES ?? 'pictures';
const DAY = 86_400_000;
const dayAgo = (days) => new Date(Date.now() - days * DAY).toISOString().slice(0, 10);
const lines = [[200, 30], [150, 50], [40, 60], [10, 70]].map(([days, count]) =>
  `conversation,storyId=${storyId(0)},source=app count=${count}i ${Date.parse(dayAgo(days))}000000`);
const SINCE = dayAgo(220);
const VIEW = `?from=${SINCE}&to=${dayAgo(0)}&live=0&dimension=month&compare=&timezone=UTC`;
let daemon;
let moment;

// Counted before there is a span; a start with one drops what is past it.
before(async () => {
  mkdirSync(FOLDER, { recursive: true });
  const first = await startDaemon();
  await send(first.url, lines);
  await first.stop();
  daemon = await startDaemon({ directory: first.directory, more: ['--retention', '3mo'] });
  const deadline = Date.now() + 15_000;
  do {
    moment = (await api(daemon.url, `/reports/conversations?from=${SINCE}`)).droppedBefore;
  } while (!moment && Date.now() < deadline);
  assert.match(moment, /^\d{4}-\d\d-01T00:00:00.000Z$/);
});
after(async () => { await daemon?.end(); await endAll(); });

// For each bucket, the colours of a row of pixels above its bar: one where the ground is plain or a line of the grid, more where it is hatched.
const colours = (page, buckets) => page.evaluate((count) => {
  const { box, ratio } = window.drawn;
  const context = document.querySelector('#plot canvas').getContext('2d');
  const { data } = context.getImageData(Math.round(box.left), Math.round(box.top + box.height * 0.02), Math.round(box.width), 1);
  return Array.from({ length: count }, (_, index) => {
    const middle = Math.round((index + 0.5) * box.width / count);
    const reach = Math.round(7 * ratio);
    return new Set(Array.from({ length: 2 * reach }, (__, at) => data.slice((middle - reach + at) * 4, (middle - reach + at + 1) * 4).join())).size;
  });
}, buckets);

test('dropped months: a notice with the moment, shaded buckets with their words', async () => {
  const report = await api(daemon.url, `/reports/conversations?from=${SINCE}&dimension=month`);
  const isDropped = report.data.map((_, index) => Date.parse(report.data[index + 1]?.date ?? '9999-01-01') <= Date.parse(moment));
  assert.ok(isDropped[0] && isDropped[1] && !isDropped.at(-1) && report.summary.total === 130, JSON.stringify(report));
  const { page, said, close } = await openPage(`${daemon.url}/${VIEW}`);
  await settled(page);
  const [month, year] = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric', timeZone: 'UTC' }).format(Date.parse(moment)).split(' ');
  assert.match(await page.textContent('#notices'), new RegExp(`What was counted before 1 ${month.slice(0, 3)}\\w* ${year}, 00:00 is no longer kept; it is missing here\\.`));
  assert.ok(await page.isVisible('#notices'));
  assert.deepEqual((await colours(page, isDropped.length)).map((found) => found > 1), isDropped, 'shaded');
  // A typical hour is worked out of weeks that are kept alone.
  const weeks = Math.ceil((Date.now() - Date.parse(moment)) / DAY / 7);
  const often = [...(await page.textContent('#busiest-note')).matchAll(/(\d+) (?=of each other day|[A-Z][a-z]+days)/g)].map(([, times]) => Number(times));
  assert.ok(often.every((times) => times <= weeks), `${often} of ${weeks}`);
  await page.screenshot({ path: `${FOLDER}/retention.png`, fullPage: true });
  await page.focus('#plot');
  await page.keyboard.press('Home');
  assert.match(await page.textContent('#bucket-said'), /, no longer kept: 0$/);
  assert.match(await page.textContent('.tooltip'), /no longer kept/);
  await page.keyboard.press('End');
  assert.doesNotMatch(await page.textContent('#bucket-said'), /no longer kept/);
  await page.keyboard.press('v');
  await settled(page);
  const rows = await page.$$eval('#chart-table tbody tr', (all) => all.map((row) => row.innerText.replace(/\s+/g, ' ')));
  assert.deepEqual(rows.map((row) => /, no longer kept 0$/.test(row)), isDropped, rows.join('; '));
  await noFaultsAnywhere(page, said, 'dropped months');
  await close();
});

test('what is kept whole has no notice and no shade', async () => {
  const { page, close } = await openPage(`${daemon.url}/?from=${moment.slice(0, 10)}&to=${dayAgo(0)}&live=0&dimension=month&compare=&timezone=UTC`);
  await settled(page);
  const report = await api(daemon.url, `/reports/conversations?from=${moment.slice(0, 10)}&dimension=month`);
  assert.doesNotMatch(await page.textContent('#notices'), /kept/);
  assert.deepEqual(await colours(page, report.data.length), report.data.map(() => 1));
  await close();
});
