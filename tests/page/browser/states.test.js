// Every state has its words: nothing yet, nothing in the range, unknown stories and zones, refusals, a daemon that is gone.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { api, endAll, fill, noFaultsAnywhere, openPage, send, settled, startDaemon, storyId } from './support.js';

let daemon;
before(async () => { daemon = await startDaemon(); await fill(daemon.url); });
after(async () => { await daemon?.end(); await endAll(); });

const VIEW = '?dimension=auto&compare=weekday&timezone=Europe/Warsaw';
const text = (page, selector) => page.$eval(selector, (element) => element.innerText.replace(/\s+/g, ' ').trim());
const says = (page, selector, words) => page.waitForFunction(([where, what]) => document.querySelector(where)?.textContent.includes(what), [selector, words], { timeout: 15_000 });

test('nothing ever counted: a command with this origin, and then the event', async () => {
  const fresh = await startDaemon();
  const { page, said, close } = await openPage(`${fresh.url}/`, { network: true });
  await says(page, '#empty', 'Nothing has been counted yet. Send a first event:');
  const command = await page.textContent('#empty pre');
  assert.ok(command.startsWith(`curl ${fresh.url}/events --data-binary`), command);
  await noFaultsAnywhere(page, said, 'empty');
  await send(fresh.url, [/'([^']+)'/.exec(command)[1]]);
  await page.waitForFunction(() => document.querySelector('#figures .value')?.textContent === '1' && !document.getElementById('view').hidden, null, { timeout: 6_000 });
  assert.equal(await page.isVisible('#empty'), false);
  await close();
  await fresh.end();
});

test('nothing in the range: says so, says when the last event came, and has a way out', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/${VIEW}&from=2019-03-01&to=2019-03-27&source=app`);
  await says(page, '#chart-empty', 'No conversations from 1 Mar to 27 Mar 2019 with these filters. The last event came on ');
  await noFaultsAnywhere(page, said, 'nothing in the range');
  await page.click('#chart-empty button:text("Last 30 days")');
  await page.waitForFunction(() => !location.search.includes('from='));
  await settled(page);
  assert.equal(await page.isVisible('#chart-empty'), false);
  await close();
});

test('a story that is not known, parameters that are not, no interactions', async () => {
  const id = 'ffffffffffffffffffffffff';
  const { page, close } = await openPage(`${daemon.url}/${VIEW}&storyId=${id}&token=secret`, { network: true });
  await says(page, '#notices', `No story ${id} is known here; its numbers are 0 until an event names it.`);
  await says(page, '#notices', 'token=secret');
  assert.ok(!page.url().includes('secret'));
  await close();
});

test('a zone that the daemon does not know: UTC, and a choice', async () => {
  const { page, close } = await openPage(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Newtown`, { network: true });
  await says(page, '#notices', 'tallyd does not know the zone Europe/Newtown; showing UTC.');
  await settled(page);
  assert.match(page.url(), /timezone=UTC/);
  await page.click('#notices button:text("Choose a zone")');
  assert.match(await text(page, 'dialog h2'), /Time zone/);
  await close();
});

test('the daemon’s own words where a view is refused, and days instead', async () => {
  const { page, close } = await openPage(`${daemon.url}/?from=1974-01-01&to=2026-11-01&dimension=hour&compare=&timezone=UTC`, { network: true });
  await page.waitForSelector('#alerts [data-kind=bad]');
  assert.match(await text(page, '#alerts'), /100,?000/);
  await page.click('#alerts button:text("Use days")');
  await settled(page);
  assert.equal(await page.$('#alerts [data-kind=bad]'), null);
  await close();
});

test('a busy daemon is asked again after its pause', async () => {
  const { page, close } = await openPage(null, { network: true });
  let asked = 0;
  await page.route('**/reports/**', (route) => {
    asked += 1;
    return asked <= 2 ? route.fulfill({ status: 503, headers: { 'retry-after': new Date(Date.now() + 1000).toUTCString() }, json: { status: { message: 'busy' } } }) : route.continue();
  });
  await page.goto(`${daemon.url}/${VIEW}`);
  await says(page, '#notices', 'tallyd is busy. Asking again at ');
  await settled(page);
  assert.equal(await page.$('[data-kind=busy]'), null);
  await close();
});

test('a daemon that is gone: stale numbers, and fresh ones when it is back', async () => {
  const own = await startDaemon();
  await fill(own.url);
  const { page, close } = await openPage(`${own.url}/${VIEW}`, { network: true });
  await settled(page);
  const total = await text(page, '#figures .value');
  await own.stop('SIGKILL');
  await says(page, '#alerts', 'No answer since ');
  assert.match(await text(page, '#alerts'), /No answer since \d\d:\d\d:\d\d; these numbers are from then\. Trying again in \d+ s\. Try now/);
  assert.match(await text(page, '#live'), /Stale/);
  assert.equal(await text(page, '#figures .value'), total);
  await noFaultsAnywhere(page, [], 'stale');
  const back = await startDaemon({ http: own.address, directory: own.directory });
  await send(back.url, [`conversation,storyId=${storyId(0)},source=app count=5000i`]);
  // It may have tried by itself meanwhile.
  await page.$eval('#alerts', (alerts) => alerts.querySelector('button')?.click());
  await page.waitForFunction((old) => document.querySelector('#figures .value').innerText !== old && !document.querySelector('#alerts [data-kind=stale]'), total, { timeout: 20_000 });
  await close();
  await back.end();
});

test('events that are refused are told, reports go on', async () => {
  const { page, close } = await openPage(null, { network: true });
  await page.route('**/health', (route) => route.fulfill({ status: 503, json: { version: '0.1.0', ingest: 'fail' } }));
  await page.goto(`${daemon.url}/${VIEW}`);
  await says(page, '#alerts', 'Events are being refused since ');
  await settled(page);
  await close();
});

const hashed = (token) => createHash('sha256').update(token).digest('hex');
const token = (name, secret, scopes, stories) =>
  `[[token]]\nname = "${name}"\nsha256 = "${hashed(secret)}"\nscopes = ${JSON.stringify(scopes)}\n${stories ? `stories = ${JSON.stringify(stories)}\n` : ''}`;
const [READER, WRITER, LIMITED] = ['tally_read_11111111111111111111', 'tally_write_2222222222222222222', 'tally_some_33333333333333333333'];

test('sign in: a wrong token, one that may not read, one that may, one for some stories', async () => {
  const tokens = token('reader', READER, ['read']) + token('writer', WRITER, ['write']) + token('some', LIMITED, ['read'], [storyId(0), storyId(1)]);
  const guarded = await startDaemon({ tokens });
  await send(guarded.url, [`conversation,storyId=${storyId(0)},source=app count=7i`, `conversation,storyId=${storyId(2)},source=app count=2i`], WRITER);
  const { page, said, close } = await openPage(`${guarded.url}/${VIEW}`, { network: true });
  const signIn = async (secret) => { await page.fill('#signin input[type=password]', secret); await page.keyboard.press('Enter'); };
  await says(page, '#signin', 'This tallyd asks for a read token.');
  await noFaultsAnywhere(page, said, 'sign-in');
  await signIn('tally_wrong');
  await says(page, '#signin', 'That token is not known here.');
  await signIn(WRITER);
  await says(page, '#alerts', 'That token is known, but may not read reports. Ask for one with the scope `read`.');
  await page.click('#alerts button:text("Use another")');
  await signIn(READER);
  await settled(page);
  assert.equal(await text(page, '#figures .value'), '9');
  assert.ok(!page.url().includes('tally_'));
  assert.deepEqual(await page.evaluate(() => [localStorage.getItem('tallyd.token'), document.cookie]), [null, '']);
  await page.click('#more');
  await page.click('dialog li:has-text("Sign out")');
  await says(page, '#signin', 'This tallyd asks for a read token.');
  assert.equal(await page.evaluate(() => sessionStorage.getItem('tallyd.token')), null);
  await page.check('#signin input[type=checkbox]');
  await signIn(LIMITED);
  await settled(page);
  assert.equal(await text(page, '#figures .value'), '7');
  await says(page, '#stories', 'You see 1 story');
  assert.equal(await page.evaluate(() => localStorage.getItem('tallyd.token')), LIMITED);
  await close();
  await guarded.end();
});

test('the CSV button saves the API’s bytes with a mark before them', async () => {
  const { page, close } = await openPage(`${daemon.url}/${VIEW}&group=source&live=0`, { network: true, acceptDownloads: true });
  await settled(page);
  const query = 'period=last30days&dimension=auto&group=source&compare=weekday&timezone=Europe%2FWarsaw&format=csv';
  const response = await fetch(`${daemon.url}/reports/conversations?${query}`);
  assert.equal(response.status, 200);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#chart-csv')]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString('utf8'), `\ufeff${await response.text()}`);
  assert.match(download.suggestedFilename(), /^tallyd-conversations-[\d-]+\.csv$/);
  await close();
});

test('no other origin may frame the page, and the policy stands on it', async () => {
  const response = await fetch(`${daemon.url}/`, { headers: { accept: 'text/html' } });
  assert.match(response.headers.get('content-security-policy'), /default-src 'none'; script-src 'self';.*frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'/);
  assert.equal((await api(daemon.url, '/health')).name, 'tallyd');
});
