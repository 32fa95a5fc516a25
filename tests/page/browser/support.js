// A daemon with known events, and a browser that looks at its page and notes every word of its console.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

export const PROGRAM = process.env.TALLYD;
export const ZONE = 'Europe/Warsaw';
export const HOSTILE = ['<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', 'evil \u202e gnp.exe', 'x'.repeat(1024)];
const DAYS = 75;
const SOURCES = [['messenger', 37], ['livechat', 21], ['widget', 17], ['app', 9], ['slack', 7], ['livechat3', 6], ['custom', 3]];
const STORIES = ['Pizza orders', 'Help desk', 'Hotel booking', 'Parcel tracking', ...HOSTILE];
const NODES = [['Order status', 26], ['Opening hours', 17], ['Return a parcel', 13], ['Talk to a person', 8], ['Change delivery address', 6], ['Invoice copy', 3], ['Never asked', 0], ...HOSTILE.map((name) => [name, 1])];
const WEEK = [45, 90, 105, 110, 100, 95, 55];
const HOURS = [2, 1, 0.4, 0.2, 0.3, 1, 3, 8, 22, 36, 44, 47, 50, 44, 40, 42, 36, 30, 24, 20, 17, 12, 8, 4];

export const storyId = (number) => `5b07ffafc2376e30306d${String(number).padStart(4, '0')}`;

const running = new Set();

// A daemon on free ports; `url` is its page.
export async function startDaemon({ tokens = '', http = '127.0.0.1:0', more = [], directory = mkdtempSync(join(tmpdir(), 'tallyd-page-')) } = {}) {
  writeFileSync(join(directory, 'tokens.toml'), tokens);
  const child = spawn(PROGRAM, ['serve', '--http-listen', http, '--tcp-listen', '127.0.0.1:0', '--data-dir', join(directory, 'data'), '--log-format', 'text', ...(tokens ? ['--tokens-file', join(directory, 'tokens.toml')] : []), ...more],
    { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await new Promise((resolve, reject) => {
    let text = '';
    child.stderr.on('data', (part) => {
      text += part;
      const found = /http=([\d.]+:\d+)/.exec(text);
      if (found) resolve(found[1]);
    });
    child.on('exit', (code) => reject(new Error(`the daemon ended with ${code}: ${text}`)));
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  const gone = new Promise((resolve) => child.on('exit', resolve));
  const stop = async (signal = 'SIGTERM') => { child.kill(signal); await gone; };
  return { url: `http://${address}`, address, directory, child, stop, end: async () => { await stop(); rmSync(directory, { recursive: true, force: true }); } };
}

export async function send(url, lines, token) {
  const response = await fetch(`${url}/events`, { method: 'POST', body: lines.join('\n'), headers: token ? { authorization: `Bearer ${token}` } : {} });
  assert.equal(response.status, 200, await response.text());
}

export async function api(url, path, token) {
  const response = await fetch(`${url}${path}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  assert.equal(response.status, 200, path);
  return response.json();
}

// A repeatable number below one.
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

const quoted = (text) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');

// Some weeks of events up to the present hour, the same each time but for the date; people are awake by the zone's clock.
export async function fill(url, zone = 'UTC', token = undefined) {
  const next = random(7);
  const hour = Math.floor(Date.now() / 3_600_000);
  const local = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: 'numeric', hourCycle: 'h23' }).format(hour * 3_600_000);
  const ahead = ((Number(local) - (hour % 24) + 36) % 24) - 12;
  const lines = STORIES.map((name, number) => `message,storyId=${storyId(number)},source=messenger count=0i,storyName="${quoted(name)}"`);
  NODES.forEach(([name], index) => lines.push(`interaction,storyId=${storyId(0)},source=messenger,id=${storyId(100 + index)} count=0i,name="${quoted(name)}"`));
  for (let ago = DAYS * 24; ago >= 0; ago -= 1) {
    const at = new Date((hour - ago + ahead) * 3_600_000);
    const stamp = `${(hour - ago) * 3_600}000000000`;
    const growth = 1 + (DAYS * 24 - ago) / (DAYS * 24) / 2;
    for (const [source, share] of SOURCES) {
      const count = Math.floor(WEEK[at.getUTCDay()] * HOURS[at.getUTCHours()] * share * growth * (0.75 + next() / 2) / 3_000 + next() * 0.5);
      if (count === 0) continue;
      const story = storyId(Math.floor(next() * next() * STORIES.length));
      const head = `storyId=${story},source=${source}`;
      const paid = Math.floor(count * (0.1 + next() / 10));
      if (count > paid) lines.push(`conversation,${head} count=${count - paid}i ${stamp}`);
      if (paid > 0) lines.push(`conversation,${head} count=${paid}i,paid=true ${stamp}`);
      lines.push(`message,${head} count=${Math.round(count * (6 + next() * 2))}i ${stamp}`);
      const [, weight] = NODES[Math.floor(next() * NODES.length)];
      const node = storyId(100 + NODES.findIndex(([, of]) => of === weight));
      if (weight > 0) lines.push(`interaction,storyId=${storyId(0)},source=${source},id=${node} count=${Math.ceil(count * weight / 12)}i ${stamp}`);
      if (next() < 0.5) lines.push(`interaction,storyId=${storyId(0)},source=${source},type=fallback count=${Math.ceil(count / 3)}i ${stamp}`);
      if (next() < 0.3) lines.push(`interaction,storyId=${storyId(0)},source=${source},type=contextFallback,parentId=${storyId(100)} count=${Math.ceil(count / 4)}i ${stamp}`);
      if (next() < 0.5) lines.push(`interaction,storyId=${storyId(0)},source=${source},type=welcome count=${Math.ceil(count / 3)}i ${stamp}`);
    }
  }
  await send(url, lines, token);
}

let browser = null;

// Ends the browser and every daemon, those that a failed test has left too.
export async function endAll() {
  await browser?.close();
  browser = null;
  for (const child of running) child.kill('SIGKILL');
}

// A page that notes what its console says. `network` says whether failed requests may be named there, where they are meant.
export async function openPage(address, { width = 1440, height = 1000, scheme = 'light', timezoneId = ZONE, network = false, ...rest } = {}) {
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, timezoneId, locale: 'en-GB', ...rest });
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => {
    if (!(network && message.text().startsWith('Failed to load resource'))) said.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => said.push(error.stack));
  await page.addInitScript(() => {
    document.addEventListener('tallyd:drawn', (event) => { window.drawn = event.detail; });
    document.addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective));
  });
  if (address) await page.goto(address);
  return { page, context, said, close: () => context.close() };
}

// Waits until what the address says is drawn.
export async function settled(page) {
  await page.waitForFunction(() => `?${document.getElementById('view').dataset.shown}` === location.search && !document.querySelector('.late-bar'), null, { timeout: 15_000 });
}

export async function noFaults(page, said, what) {
  assert.deepEqual(said, [], `${what}: the console`);
  await page.evaluate(axe.source.replace(/^\/\*[\s\S]*?\*\//, ''));
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`));
  assert.deepEqual(found, [], `${what}: axe`);
}

// The same in both schemes, wide and narrow.
export async function noFaultsAnywhere(page, said, what) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1440, 390]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      await noFaults(page, said, `${what} at ${width} ${colorScheme}`);
    }
  }
}

// A count as the page writes it, as a number.
export const number = (text) => Number(text.replace(/[^\d.]/g, ''));
