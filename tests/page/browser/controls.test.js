// Every control by mouse and by key: it changes the address, and the view survives reload and Back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { api, endAll, fill, openPage, send, settled, startDaemon, storyId } from './support.js';

let daemon;
before(async () => { daemon = await startDaemon(); await fill(daemon.url); });
after(async () => { await daemon?.end(); await endAll(); });

const parameter = (page, name) => new URL(page.url()).searchParams.get(name);

// What a person does, and what the address then says.
const STEPS = [
  ['figure by mouse', (page) => page.click('#figures button:nth-child(3)'), 'report', 'conversations.messages'],
  ['figure by key', (page) => page.keyboard.press('4'), 'report', 'conversations.average'],
  ['split by mouse', (page) => page.click('#split button[value=source]'), 'group', 'source'],
  ['split by key', (page) => page.keyboard.press('g'), 'group', 'source'],
  ['table by mouse', (page) => page.click('#shape button[value="1"]'), 'table', '1'],
  ['table by key', (page) => page.keyboard.press('v'), 'table', '1'],
  ['list by mouse', (page) => page.click('#breakdown .tabs button[value=storyId]'), 'list', 'storyId'],
  ['row of the list by mouse', (page) => page.click('#breakdown-list .pick[value=slack]'), 'source', 'slack'],
  ['heat by mouse', (page) => page.click('#heat-kind button[value=typical]'), 'heat', 'typical'],
  ['pause by mouse', (page) => page.click('#live'), 'live', '0'],
  ['pause by key', (page) => page.keyboard.press('l'), 'live', '0'],
  ['period by mouse', async (page) => { await page.click('#period'); await page.click('dialog li[data-value=last7days]'); }, 'period', 'last7days'],
  ['period by key', async (page) => { await page.keyboard.press('p'); await page.keyboard.press('ArrowUp'); await page.keyboard.press('Enter'); }, 'period', 'last7days'],
  ['a year by key', async (page) => { await page.keyboard.press('p'); await page.keyboard.press('End'); await page.keyboard.press('Enter'); }, 'compare', 'previous'],
  ['days of its own', async (page) => {
    await page.click('#period');
    await page.fill('dialog input[name=from]', '2026-03-01');
    await page.fill('dialog input[name=to]', '2026-03-27');
    await page.keyboard.press('Enter');
  }, 'from', '2026-03-01'],
  ['by, by mouse', async (page) => { await page.click('#dimension'); await page.click('dialog li[data-value=month]'); }, 'dimension', 'month'],
  ['by, by key', async (page) => { await page.keyboard.press('b'); await page.keyboard.type('h'); await page.keyboard.press('Enter'); }, 'dimension', 'hour'],
  ['against by mouse', async (page) => { await page.click('#compare'); await page.click('dialog li[data-value=year]'); }, 'compare', 'year'],
  ['against nothing by key', async (page) => { await page.keyboard.press('c'); await page.keyboard.press('End'); await page.keyboard.press('Enter'); }, 'compare', ''],
  ['sources by mouse', async (page) => { await page.click('#sources'); await page.click('dialog button:text("None")'); await page.click('dialog label:has-text("app")'); await page.click('dialog button:text("Show")'); }, 'source', 'app'],
  ['sources by key', async (page) => { await page.keyboard.press('s'); await page.keyboard.press('Space'); await page.keyboard.press('Enter'); }, 'source', 'livechat,livechat3,slack,widget,app,custom'],
  ['zone by key', async (page) => { await page.keyboard.press('z'); await page.keyboard.type('kolkata'); await page.keyboard.press('Enter'); }, 'timezone', /Kolkata|Calcutta/],
  ['zone by mouse', async (page) => { await page.click('#more'); await page.click('dialog li:has-text("Time zone")'); await page.click('dialog li:has-text("UTC")'); }, 'timezone', 'UTC'],
  ['week by mouse', async (page) => { await page.click('#more'); await page.click('dialog li:has-text("Start of the week")'); await page.click('dialog li:has-text("Sunday")'); }, 'week', 'sun'],
  ['wall by mouse', async (page) => { await page.click('#more'); await page.click('dialog li:has-text("Wall")'); }, 'wall', '1'],
  ['earlier by mouse', (page) => page.click('#earlier'), 'from', /^\d{4}-\d\d-\d\d$/],
  ['earlier by key', (page) => page.keyboard.press('['), 'to', /^\d{4}-\d\d-\d\d$/],
  ['today by key', (page) => page.keyboard.press('t'), 'period', 'today'],
  ['story by key', async (page) => {
    await page.keyboard.press('/');
    await page.waitForSelector('#found li');
    const listed = page.evaluate(() => new Promise((done) => document.addEventListener('tallyd:listed', done, { once: true })).then(() => true));
    await page.keyboard.type('Pizza');
    await listed;
    await page.keyboard.press('Enter');
  }, 'storyId', storyId(0)],
  ['story by mouse', async (page) => { await page.click('#stories'); await page.click('#found li:has-text("Help desk")'); await page.click('dialog button:text("Show")'); }, 'storyId', storyId(1)],
  ['zoom by mouse', async (page) => {
    const box = await (await page.$('#plot .u-over')).boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 5 });
    await page.mouse.up();
  }, 'from', /^\d{4}-\d\d-\d\d$/],
  ['zoom by key', async (page) => { await page.focus('#plot'); await page.keyboard.press('End'); await page.keyboard.press('ArrowLeft'); await page.keyboard.press('PageUp'); await page.keyboard.press('Enter'); }, 'from', /^\d{4}-\d\d-\d\d$/],
];

test('every control changes the address; reload and Back keep it', async (context) => {
  const { page, said, close } = await openPage(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  for (const [name, act, key, expected] of STEPS) {
    await context.test(name, async () => {
      await page.goto(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
      await settled(page);
      const start = page.url();
      await act(page);
      await page.waitForFunction((from) => location.href !== from, start);
      await settled(page);
      const found = parameter(page, key);
      assert.ok(expected instanceof RegExp ? expected.test(found) : found === expected, `${key}=${found}`);
      const there = page.url();
      const table = await page.$eval('#figures', (element) => element.textContent);
      await page.reload();
      await settled(page);
      assert.equal(page.url(), there);
      assert.equal(await page.$eval('#figures', (element) => element.textContent), table);
      await page.goBack();
      await settled(page);
      assert.equal(page.url(), start);
    });
  }
  assert.deepEqual(said, []);
  await close();
});

test('Esc closes what is open, gives the focus back, and then undoes a zoom', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  const start = page.url();
  await page.click('#period');
  await page.keyboard.press('Escape');
  assert.equal(await page.$('dialog'), null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'period');
  await page.focus('#plot');
  await page.keyboard.press('Home');
  assert.match(await page.textContent('#bucket-said'), /\d/);
  assert.ok(await page.$('.tooltip'));
  await page.keyboard.press('Enter');
  await page.waitForFunction((from) => location.href !== from, start);
  await settled(page);
  await page.keyboard.press('Escape');
  await page.waitForFunction((from) => location.href === from, start);
  await page.keyboard.press('?');
  assert.match(await page.textContent('dialog'), /undo a zoom/);
  assert.deepEqual(said, []);
  await close();
});

test('keys are no keys in fields, and can be switched off', async () => {
  const { page, close } = await openPage(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  const start = page.url();
  await page.keyboard.press('/');
  await page.waitForSelector('#found li');
  await page.keyboard.type('vgl1t');
  assert.equal(await page.inputValue('dialog input[role=combobox]'), 'vgl1t');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.click('dialog input[type=checkbox]');
  await page.keyboard.press('Escape');
  await page.keyboard.press('v');
  await page.keyboard.press('g');
  assert.equal(page.url(), start);
  await close();
});

test('Enter picks from the list for what was typed, however late it comes, and a search that hangs is given up', async () => {
  const { page, said, close } = await openPage(null, { network: true });
  const asked = [];
  const held = [];
  await page.route('**/stories?*', async (route) => {
    asked.push(new URL(route.request().url()).searchParams.get('search') ?? '');
    if (asked.length > 1) await new Promise((go) => held.push(go));
    // What was given up meanwhile cannot be answered.
    await route.continue().catch(() => {});
  });
  await page.goto(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  await page.keyboard.press('/');
  await page.waitForSelector('#found li');
  await page.keyboard.type('help d');
  await page.keyboard.press('Enter');
  assert.deepEqual([asked, parameter(page, 'storyId')], [['', 'h'], null], 'one request at a time');
  held.shift()();
  while (held.length === 0) await new Promise((done) => setTimeout(done, 10));
  assert.deepEqual([asked, parameter(page, 'storyId')], [['', 'h', 'help d'], null]);
  held.shift()();
  await page.waitForFunction(() => location.search.includes('storyId='));
  assert.equal(parameter(page, 'storyId'), storyId(1));
  await settled(page);
  await page.keyboard.press('/');
  while (held.length === 0) await new Promise((done) => setTimeout(done, 10));
  // The first of these hangs; as soon as it is slow, more that is typed goes past it.
  while (asked.at(-1) !== 'parcel') {
    await page.fill('dialog input', 'parce');
    await page.fill('dialog input', 'parcel');
  }
  held.at(-1)();
  await page.waitForFunction(() => document.querySelector('#found li')?.textContent.includes('Parcel tracking'));
  assert.deepEqual(said, []);
  await close();
});

test('heat map cells are walked by arrows and told', async () => {
  const { page, close } = await openPage(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  await page.focus('#heat .cell[tabindex="0"]');
  for (const key of ['ArrowDown', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.at), '2-2');
  assert.match(await page.textContent('#heat-said'), /^Tuesday 02:00–03:00: [\d,]+, /);
  await close();
});

test('an event is on the page within two seconds, and pausing holds the numbers', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/?list=source&dimension=auto&compare=weekday&timezone=Europe/Warsaw`, { network: true });
  await settled(page);
  const total = () => page.$eval('#figures .value', (value) => Number(value.title.replaceAll(',', '')));
  const before = await total();
  await page.waitForSelector('#live[data-state=live]');
  await send(daemon.url, [`conversation,storyId=${storyId(0)},source=app count=1000i`]);
  await page.waitForFunction((old) => Number(document.querySelector('#figures .value').title.replaceAll(',', '')) === old + 1000, before, { timeout: 4_000 });
  await page.click('#live');
  await page.waitForSelector('#live[data-state=paused]');
  await send(daemon.url, [`conversation,storyId=${storyId(0)},source=app count=1000i`]);
  assert.equal((await api(daemon.url, '/reports/conversations?timezone=Europe/Warsaw')).summary.total, before + 2000);
  assert.equal(await total(), before + 1000);
  assert.deepEqual(said, []);
  await close();
});

test('seven tabs at once: each is there, and each sees an event', async () => {
  const first = await openPage(null, { network: true });
  const tabs = [first.page];
  while (tabs.length < 7) tabs.push(await first.context.newPage());
  for (const tab of tabs) {
    await tab.goto(`${daemon.url}/?dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
    await settled(tab);
    await tab.waitForSelector('#live[data-state=live]');
  }
  const shown = (tab) => tab.$eval('#figures .value', (value) => Number(value.title.replaceAll(',', '')));
  const before = await shown(tabs[6]);
  await send(daemon.url, [`conversation,storyId=${storyId(0)},source=app count=3000i`]);
  for (const tab of tabs) {
    await tab.waitForFunction((old) => Number(document.querySelector('#figures .value').title.replaceAll(',', '')) >= old + 3000, before, { timeout: 10_000 });
  }
  await first.close();
});
