// The main screen at each size in both schemes, without a word on the console and without a finding of axe; its pictures are for
// the README and for whoever wants to look. `/api` likewise.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { endAll, fill, noFaults, openPage, send, settled, startDaemon } from './support.js';

const FOLDER = process.env.PICTURES ?? 'pictures';
let daemon;
before(async () => { mkdirSync(FOLDER, { recursive: true }); daemon = await startDaemon(); await fill(daemon.url, ZONE); });
after(async () => { await daemon?.end(); await endAll(); });

// The zone where it is nearest to three in the afternoon, so that the open bucket is worth a look.
const hourOf = (zone) => Number(new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: 'numeric', hourCycle: 'h23' }).format(Date.now()));
const ZONE = ['Pacific/Auckland', 'Asia/Tokyo', 'Asia/Dubai', 'Europe/Warsaw', 'America/New_York', 'America/Los_Angeles']
  .reduce((a, b) => (Math.abs(hourOf(b) - 15) < Math.abs(hourOf(a) - 15) ? b : a));
const VIEW = `?group=source&live=0&dimension=auto&compare=weekday&timezone=${ZONE}`;

for (const scheme of ['light', 'dark']) {
  for (const [width, height] of [[1440, 1000], [768, 1024], [390, 844], [2560, 1440]]) {
    test(`${width} ${scheme}`, async () => {
      const { page, said, close } = await openPage(`${daemon.url}/${VIEW}`, { width, height, scheme });
      await settled(page);
      if (width === 1440) {
        await page.focus('#plot');
        for (const key of ['End', 'PageUp', 'ArrowLeft']) await page.keyboard.press(key);
      }
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing sticks out');
      await page.screenshot({ path: `${FOLDER}/${scheme}-${width}.png`, fullPage: true });
      await noFaults(page, said, `${width} ${scheme}`);
      if (width === 390 || width === 1440) {
        for (const [what, open] of [['period', '#period'], ['more', '#more'], ['filters', width === 390 ? '#filters' : '#sources']]) {
          await page.click(open);
          await noFaults(page, said, `${what} at ${width} ${scheme}`);
          await page.keyboard.press('Escape');
        }
        await page.keyboard.press('v');
        await settled(page);
        await noFaults(page, said, `table at ${width} ${scheme}`);
      }
      await close();
    });
  }
}

for (const scheme of ['light', 'dark']) {
  for (const width of [1440, 768, 390]) {
    test(`/api at ${width} ${scheme}`, async () => {
      const { page, said, close } = await openPage(`${daemon.url}/api`, { width, scheme });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing sticks out');
      assert.notEqual(await page.$eval('.doc section', (section) => getComputedStyle(section).borderTopWidth), '0px', 'styled');
      await page.screenshot({ path: `${FOLDER}/api-${scheme}-${width}.png` });
      await noFaults(page, said, `/api at ${width} ${scheme}`);
      await page.click('nav a[href="#get_stories"]');
      assert.ok(await page.$eval('#get_stories', (section) => Math.abs(section.getBoundingClientRect().top) < 40));
      await close();
    });
  }
}

test('a thousand changes leave nothing behind', async () => {
  const { page, context, said, close } = await openPage(`${daemon.url}/${VIEW}`);
  await settled(page);
  const redraw = (times) => page.evaluate(async (count) => {
    const { draw } = await import(document.querySelector('script[src$="/app.js"]').src.replace('app.js', 'show.js'));
    for (let turn = 0; turn < count; turn += 1) draw('live');
  }, times);
  const session = await context.newCDPSession(page);
  const heap = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  await redraw(50);
  const before = await heap();
  await redraw(1_000);
  const grown = (await heap()) - before;
  assert.ok(grown < 2 * 1024 * 1024, `${grown} bytes`);
  assert.deepEqual(said, []);
  await close();
});

test('100,000 stories: the picker answers, and the page is there', async () => {
  const many = await startDaemon();
  for (let block = 0; block < 10; block += 1) {
    await send(many.url, Array.from({ length: 10_000 }, (_, index) => {
      const id = (block * 10_000 + index).toString(16).padStart(24, '0');
      return `conversation,storyId=${id},source=app count=1i,storyName="Story number ${block * 10_000 + index}"`;
    }));
  }
  const { page, said, close } = await openPage(`${many.url}/${VIEW}&list=storyId`);
  await settled(page);
  await page.keyboard.press('/');
  await page.waitForSelector('#found li');
  const listed = page.evaluate(() => new Promise((done) => document.addEventListener('tallyd:listed', ({ detail }) => detail === 'number 4711' && done())));
  await page.keyboard.type('number 4711');
  await listed;
  assert.match(await page.textContent('#found'), /Story number 4711/);
  assert.match(await page.textContent('dialog .note'), /11 found|20 shown, type on/);
  assert.deepEqual(said, []);
  await close();
  await many.end();
});
