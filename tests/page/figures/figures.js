// Prints the page's figures: medians, with the least and the greatest.
import { createServer } from 'node:http';
import { ZONE, endAll, fill, openPage, send, settled, startDaemon, storyId } from '../browser/support.js';

const ROUNDS = Number(process.env.ROUNDS);
const MINUTES = Number(process.env.MINUTES);
const STORIES = 100_000;
const VIEW = `?group=source&dimension=auto&compare=weekday&timezone=${ZONE}`;

function row(name, values, unit = 'ms') {
  const sorted = [...values].sort((a, b) => a - b);
  const text = (value) => value.toFixed(value < 10 ? 1 : 0);
  console.log(`${name.padEnd(62)} ${text(sorted[Math.floor(sorted.length / 2)]).padStart(6)} ${unit}   ${text(sorted[0])} to ${text(sorted.at(-1))}`);
  return sorted[Math.floor(sorted.length / 2)];
}

const repeat = async (times, measure) => {
  const found = [];
  for (let turn = 0; turn < times; turn += 1) found.push(await measure(turn));
  return found;
};

// First paint and, where there are any, the numbers: of a browser that has seen nothing of it, as its own clock has them.
async function opened(url) {
  const { page, close } = await openPage(null);
  await page.addInitScript(() => document.addEventListener('tallyd:drawn', () => { window.drawnAt ??= performance.now(); }));
  await page.goto(url);
  if (url.includes('?')) await settled(page);
  const found = await page.evaluate(() => new Promise((done) => {
    const told = () => {
      const paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
      if (paint === undefined) setTimeout(told, 20);
      else done({ paint, numbers: window.drawnAt ?? 0 });
    };
    told();
  }));
  await close();
  return found;
}

async function paints(name, url, base) {
  // The first is the browser's own start.
  const [, ...found] = await repeat(ROUNDS + 1, () => opened(url));
  const median = row(`first paint, ${name}`, found.map(({ paint }) => paint));
  if (base) console.log(`    ${(median / base).toFixed(1)} times that of the empty page`);
  if (found[0].numbers) row(`numbers drawn, ${name}`, found.map(({ numbers }) => numbers));
  return median;
}

// From a key to the frame that shows the list for all that was typed until then.
async function keys(url, words, pauseMs, name) {
  const { page, close } = await openPage(`${url}/${VIEW}`);
  await settled(page);
  await page.keyboard.press('/');
  await page.waitForSelector('#found li');
  await page.evaluate(() => {
    window.took = [];
    let last = null;
    document.addEventListener('input', (event) => { last = { at: event.timeStamp, text: event.target.value.trim() }; }, true);
    document.addEventListener('tallyd:listed', (event) => {
      if (last === null || event.detail !== last.text) return;
      const { at } = last;
      last = null;
      requestAnimationFrame(() => setTimeout(() => window.took.push(performance.now() - at)));
    });
  });
  for (const word of words) {
    await page.fill('dialog input', '');
    await page.keyboard.type(word, { delay: pauseMs });
    await page.waitForFunction((text) => document.querySelector('#found li')?.textContent.includes(text), word.split(' ').at(-1));
  }
  const took = await page.evaluate(() => new Promise((done) => setTimeout(() => done(window.took), 300)));
  row(`${name}, ${took.length} lists`, took);
  await close();
}

async function searches(url, words) {
  const took = [];
  for (const word of words) {
    for (let end = 1; end <= word.length; end += 1) {
      const began = performance.now();
      await (await fetch(`${url}/stories?limit=20&search=${encodeURIComponent(word.slice(0, end))}`)).arrayBuffer();
      took.push(performance.now() - began);
    }
  }
  row(`GET /stories?search= among ${STORIES} stories`, took);
}

async function changes(url) {
  const { page, close } = await openPage(`${url}/${VIEW}`);
  await settled(page);
  const took = await page.evaluate(async () => {
    const { draw } = await import(document.querySelector('script[src$="/app.js"]').src.replace('app.js', 'show.js'));
    return Array.from({ length: 200 }, () => {
      const began = performance.now();
      draw('live');
      return performance.now() - began;
    });
  });
  row('a change drawn', took);
  await close();
}

// The heap of a page that is open and live while events arrive each second, after each minute and a collection of garbage.
async function heap(url) {
  const { page, context, close } = await openPage(`${url}/${VIEW}`);
  await settled(page);
  const session = await context.newCDPSession(page);
  const kib = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return Math.round((await session.send('Runtime.getHeapUsage')).usedSize / 1024);
  };
  let drawn = 0;
  await page.exposeFunction('drawnOnce', () => { drawn += 1; });
  await page.evaluate(() => document.addEventListener('tallyd:drawn', () => window.drawnOnce()));
  const began = Date.now();
  const sizes = [];
  for (let minute = 1; minute <= MINUTES; minute += 1) {
    while (Date.now() < began + minute * 60_000) {
      await send(url, [`conversation,storyId=${storyId(minute % 4)},source=app count=1i`, `message,storyId=${storyId(minute % 4)},source=slack count=7i`]);
      await new Promise((done) => setTimeout(done, 1_000));
    }
    sizes.push(await kib());
    if (minute <= 10 || minute % 10 === 0 || minute === MINUTES) {
      const nodes = (await session.send('Memory.getDOMCounters'));
      console.log(`heap after minute ${String(minute).padStart(3)}: ${sizes.at(-1)} KiB; ${drawn} drawings, ${nodes.nodes} nodes, ${nodes.jsEventListeners} listeners`);
    }
  }
  if (sizes.length > 1) console.log(`heap from minute 1 to ${MINUTES}: ${sizes.at(-1) - sizes[0]} KiB more`);
  await close();
}

const empty = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>empty</title><p>Empty'));
await new Promise((done) => empty.listen(0, '127.0.0.1', done));
const few = await startDaemon();
await fill(few.url);
const many = await startDaemon();
await fill(many.url);
for (let first = 0; first < STORIES; first += 10_000) {
  await send(many.url, Array.from({ length: 10_000 }, (_, index) =>
    `conversation,storyId=${(first + index).toString(16).padStart(24, '0')},source=app count=1i,storyName="Story number ${first + index}"`));
}
const words = ['number 4711', 'number 88', 'story number 99999', '0000000000000000000000f'];
try {
  const base = await paints('an empty page', `http://127.0.0.1:${empty.address().port}/`);
  await paints('few stories', `${few.url}/${VIEW}`, base);
  await paints(`${STORIES} stories`, `${many.url}/${VIEW}`, base);
  await paints(`${STORIES} stories, split by story`, `${many.url}/${VIEW.replace('source', 'storyId')}`, base);
  await searches(many.url, words);
  await keys(many.url, words.slice(0, 3), 200, 'key to list, a key each 200 ms');
  await keys(many.url, words.slice(0, 3), 60, 'key to list, a key each 60 ms');
  await changes(few.url);
  if (MINUTES > 0) await heap(few.url);
} finally {
  empty.close();
  await endAll();
  await few.end();
  await many.end();
}
