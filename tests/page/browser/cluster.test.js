// What the page says of the log that nodes share: at one place those that agree show one digest. Left out in words without the program of
// the log's servers.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PROGRAM, api, endAll, noFaults, openPage, settled, startDaemon, storyId } from './support.js';

const SERVER = process.env.TALLYD_LOG_SERVER;
const skip = SERVER ? false : 'TALLYD_LOG_SERVER names no nats-server; .ci/run fetches one';
const PATIENCE_MS = 60_000;
let servers = [];
let directory;
let urls;

async function freePorts(most) {
  const held = await Promise.all(Array.from({ length: most }, () => new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((resolve) => { server.close(resolve); })));
  return ports;
}

before(async () => {
  if (skip) return;
  directory = mkdtempSync(join(tmpdir(), 'tallyd-log-'));
  const ports = await freePorts(6);
  const routes = ports.slice(3).map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  urls = ports.slice(0, 3).map((port) => `nats://127.0.0.1:${port}`).join(',');
  servers = [0, 1, 2].map((place) => {
    const file = join(directory, `s${place}.conf`);
    writeFileSync(file, `server_name: s${place}\nlisten: "127.0.0.1:${ports[place]}"\nmax_payload: 8MB\n`
      + `jetstream { store_dir: "${join(directory, `s${place}`)}" }\ncluster { name: c, listen: "127.0.0.1:${ports[3 + place]}", routes: [${routes}] }\n`);
    return spawn(SERVER, ['-c', file], { stdio: 'ignore' });
  });
  const made = spawnSync(PROGRAM, ['cluster', 'init', '--cluster', urls, '--max-bytes', '1GiB']);
  assert.equal(made.status, 0, String(made.stderr));
});

after(async () => {
  await endAll();
  for (const server of servers) server.kill('SIGKILL');
  if (directory) rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
});

// Looks until it is so.
async function until(what, look) {
  for (const begun = Date.now(); ;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() - begun < PATIENCE_MS, what);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

test('nodes that agree show the same digest at the same place of the log', { skip }, async () => {
  const nodes = [await startDaemon({ more: ['--cluster', urls] }), await startDaemon({ more: ['--cluster', urls] })];
  const stand = () => Promise.all(nodes.map((node) => api(node.url, '/cluster')));
  await until('both have read the log', async () => (await stand()).every((one) => one.server && one.log));
  for (const [number, node] of nodes.entries()) {
    const body = `conversation,storyId=${storyId(number)},source=app count=7i`;
    const counted = await fetch(`${node.url}/events`, { method: 'POST', body });
    assert.equal(counted.status, 200);
  }
  const [one] = await until('both are at one place', async () => {
    const both = await stand();
    return both.every(({ position, last }) => position === last && position === both[0].position) && both;
  });
  for (const node of nodes) {
    const { page, said, close } = await openPage(node.url);
    await settled(page);
    await page.waitForFunction(() => !document.getElementById('foot-log').hidden);
    assert.equal(await page.textContent('#foot-log'), `place ${one.position} of the log, digest ${one.digest.slice(0, 8)} · `);
    assert.match(await page.textContent('#figures'), /14/);
    await noFaults(page, said, 'a node');
    if (process.env.PICTURES) await page.screenshot({ path: join(process.env.PICTURES, 'node.png') });
    await close();
  }
  for (const node of nodes) await node.end();
});

test('daemon that is alone says nothing of a log', async () => {
  const daemon = await startDaemon();
  const { page, close } = await openPage(daemon.url);
  await page.waitForFunction(() => /\d/.test(document.getElementById('foot-version').textContent));
  assert.equal(await page.isVisible('#foot-log'), false);
  await close();
  await daemon.end();
});
