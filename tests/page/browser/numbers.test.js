// Every number that the page shows is the API's, and every mark is where its number says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HOSTILE, api, endAll, fill, noFaults, number, openPage, send, settled, startDaemon, storyId } from './support.js';

let daemon;
before(async () => { daemon = await startDaemon(); await fill(daemon.url); });
after(async () => { await daemon?.end(); await endAll(); });

const queryOf = (address) => {
  const query = new URL(address).searchParams;
  for (const name of ['report', 'live', 'table', 'heat', 'week', 'wall', 'list', 'group']) query.delete(name);
  return query;
};

const rowsOf = (page, selector) => page.$$eval(`${selector} tbody tr`, (rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));

for (const [report, group] of [['conversations', 'source'], ['conversations.paid', 'storyId'], ['conversations.messages', ''], ['conversations.average', 'source']]) {
  test(`${report} by ${group || 'nothing'}: figures, table and list`, async () => {
    const view = `?report=${report}${group ? `&group=${group}&list=${group}` : ''}&table=1&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw`;
    const { page, said, close } = await openPage(`${daemon.url}/${view}`);
    await settled(page);
    const query = queryOf(page.url());
    const ask = (name, more = '') => api(daemon.url, `/reports/${name}?${query}${more}`);
    const of = (answer, name) => (name === 'conversations.average' ? answer.overall : answer.summary.total);
    const names = ['conversations', 'conversations.paid', 'conversations.messages', 'conversations.average'];
    const figures = await page.$$eval('#figures .value', (all) => all.map((value) => value.title));
    for (const [index, name] of names.entries()) assert.equal(number(figures[index]), of(await ask(name), name), name);
    const answer = await ask(report, `&group=${group || 'source'}&limit=7`);
    const rows = await rowsOf(page, '#chart-table');
    assert.equal(rows.length, answer.data.length);
    answer.data.forEach((point, index) => {
      const shown = rows[index];
      assert.equal(number(shown[1]) || 0, point.value, `${point.date}`);
      assert.equal(number(shown[2]) || 0, answer.compare.data[index]?.value ?? 0, `${point.date} before`);
      (group ? answer.groups : []).forEach((of, at) => assert.equal(number(shown[4 + at]) || 0, of.data[index].value, `${point.date} ${at}`));
    });
    const listed = await rowsOf(page, '#breakdown-list');
    answer.groups.forEach((found, index) => assert.equal(number(listed[index][1]), of(found, report)));
    assert.equal(number(listed.at(-1)[1]), of(answer, report), 'All');
    assert.deepEqual(said, []);
    await close();
  });
}

test('marks are as high as their values, in the colours of the list', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/?group=source&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  const { marks, colours, box } = await page.evaluate(() => {
    const canvas = document.querySelector('#plot canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const pixel = ({ left, top, width, height }) => {
      const at = (Math.round(top + height / 2) * canvas.width + Math.round(left + width / 2)) * 4;
      return [...data.slice(at, at + 3)];
    };
    const swatches = Object.fromEntries([...document.querySelectorAll('#breakdown-list .pick')].map((pick) => [pick.value, getComputedStyle(pick.querySelector('.swatch')).backgroundColor.match(/\d+/g).map(Number)]));
    // Markers of the values before may lie over the middle of a mark.
    return { marks: window.drawn.marks.map((mark) => ({ ...mark, pixel: pixel(mark) })), colours: swatches, box: window.drawn.box };
  });
  const answer = await api(daemon.url, `/reports/conversations?${queryOf(page.url())}&group=source`);
  const expected = answer.groups.flatMap((group) => group.data.filter((point) => point.value > 0));
  assert.equal(marks.length, expected.length);
  const highest = marks.reduce((a, b) => (b.value > a.value ? b : a));
  for (const mark of marks) {
    const group = answer.groups.find((found) => found.source === mark.group);
    assert.equal(mark.value, group.data[mark.bucket].value);
    assert.ok(Math.abs(mark.height - (mark.value / highest.value) * highest.height) <= 1, `${mark.group} ${mark.bucket}: ${mark.height}`);
  }
  // The axis begins at 0 and leaves six percent free above the greatest value, of now or before.
  const most = Math.max(...answer.data.map((point) => point.value), ...answer.compare.data.map((point) => point.value));
  answer.data.forEach(({ value }, bucket) => {
    const stack = marks.filter((mark) => mark.bucket === bucket).reduce((sum, mark) => sum + mark.height, 0);
    assert.ok(Math.abs(stack - (value / most) * 0.94 * box.height) <= 1, `${bucket}: ${stack} of ${box.height}`);
  });
  const whole = marks.filter((mark) => !mark.partial && mark.height >= 8);
  const right = whole.filter((mark) => mark.pixel.every((part, index) => Math.abs(part - colours[mark.group][index]) <= 2));
  assert.ok(whole.length >= 50 && right.length >= 50 && right.length >= whole.length * 0.8, `${right.length} of ${whole.length} have their colour`);
  assert.ok(marks.some((mark) => mark.partial), 'the open bucket');
  assert.deepEqual(said, []);
  await close();
});

test('the heat map has the API’s numbers, in classes that the legend names', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/?table=1&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  const answer = await api(daemon.url, '/reports/busiest-period?period=last30days&timezone=Europe/Warsaw');
  const cells = await page.$$eval('#heat .cell', (all) => all.map((cell) => ({ at: cell.dataset.at, text: cell.textContent, level: Number(/h(\d)/.exec(cell.className)[1]) })));
  const legend = await page.$$eval('.legend span', (all) => all.map((entry) => entry.textContent));
  assert.equal(cells.length, 168);
  assert.deepEqual(new Set(cells.map((cell) => cell.level)), new Set([0, 1, 2, 3, 4, 5]));
  const bounds = legend.map((words) => words.replaceAll(',', '').match(/\d+/g)?.map(Number) ?? [0]);
  for (const { at, text, level } of cells) {
    const [day, hour] = at.split('-').map(Number);
    const { value } = answer[day][hour];
    assert.equal(number(text), value, at);
    const [low, high = level === 5 ? Infinity : low] = bounds[level];
    assert.ok(level === 5 ? value > low : value >= low && value <= high, `${at}: ${value} in ${legend[level]}`);
  }
  assert.deepEqual(said, []);
  await close();
});

test('interactions are the API’s rows, and strangers’ names are text', async () => {
  const { page, said, close } = await openPage(`${daemon.url}/?list=storyId&group=storyId&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw&storyId=${storyId(0)}`);
  await settled(page);
  await page.click('#interactions-list button');
  const answer = await api(daemon.url, `/reports/interactions.popularity?period=last30days&timezone=Europe/Warsaw&storyId=${storyId(0)}`);
  const rows = await rowsOf(page, '#interactions-list');
  assert.deepEqual(rows.map((row) => number(row[2])), answer.map((row) => row.value));
  const names = rows.map((row) => row[0]);
  for (const name of HOSTILE) assert.ok(names.includes(name.replace('\u202e', '\\u{202e}')), name.slice(0, 40));
  assert.equal(await page.$$eval('img, script:not([src])', (all) => all.length), 0);
  assert.deepEqual(said, []);
  await close();
  const other = await openPage(`${daemon.url}/?list=storyId&group=storyId&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(other.page);
  await noFaults(other.page, other.said, 'hostile names');
  await other.close();
});

test('change days in four zones, with the system in another', async () => {
  for (const [zone, day] of [['Europe/Warsaw', '2025-10-26'], ['Asia/Kolkata', '2025-10-26'], ['Australia/Lord_Howe', '2025-04-06'], ['America/St_Johns', '2025-11-02']]) {
    const noon = Date.parse(`${day}T12:00Z`);
    await send(daemon.url, Array.from({ length: 60 }, (_, hour) =>
      `conversation,storyId=${storyId(0)},source=app count=${hour + 1}i ${noon + (hour - 30) * 3_600_000}000000`));
    const { page, said, close } = await openPage(`${daemon.url}/?from=${day}&to=${day}&table=1&live=0&dimension=hour&compare=&timezone=${zone}`, { timezoneId: 'America/New_York' });
    await settled(page);
    const answer = await api(daemon.url, `/reports/conversations?from=${day}&to=${day}&dimension=hour&timezone=${zone}`);
    const rows = await rowsOf(page, '#chart-table');
    assert.equal(rows.length, answer.data.length, zone);
    const names = rows.map((row) => row[0]);
    assert.equal(new Set(names).size, names.length, `${zone}: every hour has a name of its own`);
    assert.ok(names[0].startsWith(`${day} 00:`), names[0]);
    assert.deepEqual(rows.map((row) => number(row[1])), answer.data.map((point) => point.value));
    assert.deepEqual(said, []);
    await close();
  }
});

test('counts past 2⁵³ have every digit of the API', async () => {
  const long = (text) => text.replace(/"(value|total|min|max)":([1-9]\d*)(?=[,}])/g, '"$1":$2987654321987654');
  const { page, said, close } = await openPage(null);
  await page.route('**/reports/**', async (route) => {
    const response = await route.fetch();
    await route.fulfill(response.status() === 200 ? { response, body: long(await response.text()) } : { response });
  });
  await page.goto(`${daemon.url}/?report=conversations.messages&list=source&group=source&table=1&live=0&dimension=auto&compare=weekday&timezone=Europe/Warsaw`);
  await settled(page);
  // As text, since JavaScript would round them.
  const ask = async (name, more) => long(await (await fetch(`${daemon.url}/reports/${name}?period=last30days&timezone=Europe/Warsaw${more}`)).text());
  const numbersOf = (text, name) => [...text.matchAll(new RegExp(`"${name}":(\\d+)`, 'g'))].map(([, digits]) => digits);
  const plain = (text) => text.replaceAll(',', '');
  const series = '&dimension=auto&compare=weekday';
  for (const [index, name] of ['conversations', 'conversations.paid', 'conversations.messages'].entries()) {
    const title = await page.$eval(`#figures button:nth-child(${index + 1}) .value`, (value) => value.title);
    assert.equal(plain(title), numbersOf(await ask(name, series), 'total').at(0), name);
    assert.ok(plain(title).length > 16);
  }
  const answer = await ask('conversations.messages', series);
  const values = numbersOf(answer, 'value');
  const rows = await rowsOf(page, '#chart-table');
  // Within the first hour of a day in Warsaw, today has nothing to be compared with.
  const shown = [...rows.map((row) => plain(row[1])), ...rows.map((row) => plain(row[2]))];
  assert.ok(shown.indexOf('') === -1 || shown.indexOf('') === shown.length - 1);
  assert.deepEqual(shown.filter((text) => text !== ''), values);
  const sums = await page.$$eval('#breakdown-list .pick', (all) => all.map((pick) => pick.closest('tr').querySelector('.num').title));
  const [, ...groups] = (await ask('conversations.messages', '&dimension=auto&group=source')).split('"source":');
  assert.deepEqual(sums.map(plain), groups.map((group) => numbersOf(group, 'total')[0]));
  const cells = await page.$$eval('#heat .cell', (all) => all.map((cell) => [cell.dataset.at, cell.textContent]));
  const busiest = numbersOf(await ask('busiest-period', ''), 'value');
  for (const [at, text] of cells) {
    const [day, hour] = at.split('-').map(Number);
    assert.equal(plain(text), busiest[day * 24 + hour], at);
  }
  const uses = await page.$$eval('#interactions-list td.num[title]', (all) => all.map((cell) => cell.title));
  const popular = numbersOf(await ask('interactions.popularity', ''), 'value');
  assert.deepEqual(uses.map(plain), popular.slice(0, uses.length));
  assert.deepEqual(said, []);
  await close();
});
