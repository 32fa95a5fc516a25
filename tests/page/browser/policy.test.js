// The policy under which the page runs: a walk over all of it breaks no rule of it, no other origin can frame it, and what strangers
// named is text everywhere. And what the page says of an answer that stalls.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startProxy } from './proxy.js';
import { HOSTILE, endAll, fill, openPage, send, settled, startDaemon, storyId } from './support.js';

const SECRET = 'tally_read_11111111111111111111';
const TOKENS = `[[token]]\nname = "all"\nsha256 = "${createHash('sha256').update(SECRET).digest('hex')}"\nscopes = ["read", "write"]\n`;
const VIEW = '?dimension=auto&compare=weekday&timezone=Europe/Warsaw';
let daemon;
before(async () => { daemon = await startDaemon(); await fill(daemon.url); });
after(async () => { await daemon?.end(); await endAll(); });

const reporting = (_, head) => {
  head['content-security-policy'] += '; report-uri /policy-reports';
};

// The rules that were broken, as the document is told of them; what the browser reports goes to the proxy.
async function watched(address) {
  const opened = await openPage(null, { network: true, acceptDownloads: true });
  const broken = [];
  await opened.page.exposeFunction('policyBroken', (what) => broken.push(what));
  await opened.page.addInitScript(() => document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    window.policyBroken(`${violatedDirective} ${blockedURI}`);
  }));
  await opened.page.goto(address);
  return { ...opened, broken };
}

const OPENED = ['#period', '#dimension', '#compare', '#stories', '#sources', '#more', '#keys'];
const OF_MORE = ['Time zone', 'Start of the week', 'Scheme'];

async function walk(page) {
  await settled(page);
  for (const report of ['1', '2', '3', '4']) {
    for (const key of [report, 'g', 'v', 'g', 'v', 'g']) {
      await page.keyboard.press(key);
      await settled(page);
    }
  }
  for (const id of OPENED) {
    await page.click(id);
    if (id === '#stories') await page.waitForSelector('#found li');
    await page.keyboard.press('Escape');
  }
  for (const words of OF_MORE) {
    await page.click('#more');
    await page.click(`dialog li:has-text("${words}")`);
    await page.keyboard.press('Escape');
  }
  await page.click('#heat-kind button[value=typical]');
  await page.hover('#heat .cell.most');
  await page.hover('#plot .u-over', { position: { x: 300, y: 80 } });
  await page.waitForSelector('.tooltip');
  await page.focus('#plot');
  for (const key of ['End', 'ArrowLeft', 'Enter']) await page.keyboard.press(key);
  await settled(page);
  await page.keyboard.press('Escape');
  await settled(page);
  await Promise.all([page.waitForEvent('download'), page.click('#chart-csv')]);
  await page.keyboard.press('y');
  await page.click('#breakdown .tabs button[value=storyId]');
  await settled(page);
  await page.click('#interactions-list .under button');
  for (const view of [`${VIEW}&from=2019-03-01&to=2019-03-02`, `${VIEW}&wall=1`, `${VIEW}&storyId=${'f'.repeat(24)}&odd=1`, `${VIEW}&compare=year&dimension=month&period=thisYear`]) {
    await page.goto(`${new URL(page.url()).origin}/${view}`);
    await settled(page);
  }
}

test('no rule of the policy is broken in a walk over the whole page, signed out, signed in, empty and full', async () => {
  const guarded = await startDaemon({ tokens: TOKENS });
  const proxy = await startProxy(guarded.url, { change: reporting });
  const { page, broken, close } = await watched(`${proxy.url}/${VIEW}`);
  const signIn = async () => { await page.fill('#signin input[type=password]', SECRET); await page.keyboard.press('Enter'); };
  await page.waitForSelector('#signin form');
  await signIn();
  await page.waitForSelector('#empty pre');
  await fill(guarded.url, 'UTC', SECRET);
  await walk(page);
  for (const width of [390, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    await page.reload();
    await settled(page);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(`${proxy.url}/api`);
  assert.match(await page.title(), /API/);
  await page.goto(`${proxy.url}/${VIEW}`);
  await settled(page);
  assert.deepEqual(broken, []);
  assert.deepEqual(proxy.reports, []);
  // What would be one is told in both ways.
  assert.ok(await page.evaluate(() => { try { document.body.innerHTML = '<p>'; return false; } catch { return true; } }));
  await page.evaluate(() => { const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image); });
  await page.waitForFunction(() => document.images.length === 1);
  while (broken.length < 2 || proxy.reports.length < 2) await new Promise((done) => setTimeout(done, 20));
  assert.match(broken.join(), /require-trusted-types-for.*img-src/);
  await page.click('#more');
  await page.click('dialog li:has-text("Sign out")');
  await page.waitForSelector('#signin form');
  await close();
  proxy.end();
  await guarded.end();
});

test('another origin that frames the page gets nothing of it', async () => {
  const open = await startProxy(daemon.url, { change: (_, head) => { delete head['content-security-policy']; } });
  const other = createServer((asked, response) => {
    const framed = new URL(asked.url, 'http://other').searchParams.get('of');
    response.setHeader('content-type', 'text/html').end(`<!doctype html><iframe src="${framed}"></iframe>`);
  });
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  other.unref();
  const framing = async (address) => {
    const { page, close } = await openPage(null, { network: true });
    await page.goto(`http://127.0.0.1:${other.address().port}/?of=${encodeURIComponent(address)}`, { waitUntil: 'load' });
    const frame = page.frames()[1];
    const [shown, where] = [await frame.$('#figures'), frame.url()];
    await close();
    return { isShown: shown !== null, where };
  };
  for (const path of ['/', '/api', '/reports/conversations', '/openapi.json']) {
    const { isShown, where } = await framing(`${daemon.url}${path}`);
    assert.ok(!isShown && where.startsWith('chrome-error:'), `${path}: ${where}`);
  }
  // Without its policy the page would have been shown there.
  const { isShown, where } = await framing(`${open.url}/`);
  assert.ok(isShown, where);
  other.close();
  other.closeAllConnections();
  open.end();
});

test('names and ids of strangers are text, wherever they are shown', async () => {
  const { page, broken, said, close } = await watched(`${daemon.url}/${VIEW}&list=storyId&group=storyId&table=1&live=0&storyId=${[4, 5, 6, 7].map(storyId)}`);
  await settled(page);
  const shown = HOSTILE.map((name) => name.replace('\u202e', '\\u{202e}'));
  const has = async (selector) => {
    const texts = await page.$$eval(selector, (all) => all.map((element) => element.textContent));
    for (const name of shown) assert.ok(texts.some((text) => text.includes(name)), `${selector}: ${name.slice(0, 30)}`);
  };
  await has('#breakdown-list .name');
  await has('#chart-table th');
  await page.click('#stories');
  await page.waitForSelector('#found li');
  await has('dialog .chips .name');
  await has('#found .name');
  await page.keyboard.press('Escape');
  await page.click('#shape button[value=""]');
  await settled(page);
  await page.focus('#plot');
  for (const key of ['End', 'ArrowLeft']) await page.keyboard.press(key);
  assert.match(await page.textContent('#bucket-said'), /\d/);
  for (const id of [4, 5, 6, 7].map(storyId)) {
    await page.goto(`${daemon.url}/${VIEW}&live=0&storyId=${id}`);
    await settled(page);
  }
  // A source is one of seven words, so that no event brings another; in an address one may stand, and is told as text.
  const source = '<img src=x onerror=alert(1)>';
  const refused = await fetch(`${daemon.url}/events`, { method: 'POST', body: JSON.stringify({ event: 'message', storyId: storyId(0), source }) });
  assert.equal(refused.status, 400);
  await page.goto(`${daemon.url}/${VIEW}&source=${encodeURIComponent(source)}`);
  await page.waitForFunction((text) => document.querySelector('#notices').textContent.includes(`source=${text}`), source);
  assert.equal(await page.$$eval('img, iframe, script:not([src])', (all) => all.length), 0);
  assert.deepEqual([broken, said], [[], []]);
  await close();
});

test('an answer that stalls half way is no answer: the page says so, and is whole again when it comes', async () => {
  let isStalling = false;
  const proxy = await startProxy(daemon.url, {
    change: (url, head) => { if (isStalling && url.startsWith('/reports/conversations?')) head['content-length'] &&= String(Number(head['content-length']) + 1); },
    send: (url, body, response) => {
      if (!isStalling || !url.startsWith('/reports/conversations?')) return false;
      body.on('data', (part) => response.write(part.subarray(0, part.length / 2)));
      return true;
    },
  });
  const { page, said, close } = await openPage(`${proxy.url}/${VIEW}&live=0`, { network: true });
  await settled(page);
  const total = await page.textContent('#figures .value');
  isStalling = true;
  await page.click('#split button[value=storyId]');
  await page.waitForSelector('#view.late');
  await page.waitForSelector('#alerts [data-kind=stale]', { timeout: 30_000 });
  assert.match(await page.textContent('#alerts'), /^No answer since \d\d:\d\d:\d\d; these numbers are from then\. Trying again in \d+ s\.Try now$/);
  assert.equal(await page.textContent('#figures .value'), total);
  assert.match(await page.textContent('#live'), /Stale/);
  isStalling = false;
  await page.$eval('#alerts', (alerts) => alerts.querySelector('button')?.click());
  await settled(page);
  assert.equal(await page.$('#alerts [data-kind=stale]'), null);
  assert.deepEqual(said, []);
  await close();
  proxy.end();
});
