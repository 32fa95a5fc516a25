// Writes events with influx (the client of InfluxDB 1) and @questdb/nodejs-client and reads them back as a report; and a batch as Telegraf's
// output for HTTP sends it.
import { gzipSync } from 'node:zlib'
import { Sender } from '@questdb/nodejs-client'
import { FieldType, InfluxDB } from 'influx'

const [url, lines] = process.argv.slice(2)
const http = url.replace('http://', '')
const [host, port] = http.split(':')
const story = '5b07ffafc2376e30306d9b46'
const nine = 1552813200n

function expect(what, told, right) {
  if (JSON.stringify(told) !== JSON.stringify(right)) {
    console.error(`node: ${what}: told ${JSON.stringify(told)}, right ${JSON.stringify(right)}`)
    process.exit(1)
  }
}

const tags = { storyId: story, source: 'widget' }
const schema = [{ measurement: 'message', fields: { count: FieldType.INTEGER }, tags: ['storyId', 'source'] }]
for (const options of [{}, { schema }]) {
  const client = new InfluxDB({ host, port: Number(port), database: 'b', ...options })
  await client.createDatabase('b')
  expect('databases', await client.getDatabaseNames(), ['tallyd'])
  const points = Array.from({ length: 10 }, () => ({ measurement: 'message', tags, fields: { count: 1 } }))
  await client.writePoints(points.map((point, i) => ({ ...point, timestamp: new Date(Number(nine) * 1000 + i) })))
  const bad = [{ measurement: 'message', tags: { storyId: 'short', source: 'widget' }, fields: { count: 1 } }]
  const told = await client.writePoints(bad).then(() => 'taken', (error) => String(error))
  expect('words for a bad line', told.includes('storyId'), true)
}
console.log('node influx: its writes were taken')

// Over HTTP the version is to be named, as it would else ask a route of QuestDB for it.
for (const target of [`http::addr=${http};protocol_version=1;`, `tcp::addr=${lines};`, `tcp::addr=${lines};protocol_version=1;`]) {
  const sender = await Sender.fromConfig(target)
  if (target.startsWith('tcp')) await sender.connect()
  for (let i = 0n; i < 10n; i++) {
    const row = sender.table('message').symbol('storyId', story).symbol('source', 'widget').intColumn('count', 1)
    await row.at(nine * 1000000n + i, 'us')
  }
  await sender.flush()
  await sender.close()
}
console.log('node questdb: its writes were taken')

// As Telegraf's outputs influxdb (1) and influxdb_v2 write: tags of the host, floats, nanoseconds, gzip.
const batch = Array.from({ length: 10 }, (_, i) => `message,host=a,source=widget,storyId=${story} count=1 ${nine}00000000${i}\n`).join('')
for (const path of ['/api/v2/write?bucket=b&org=o&precision=ns', '/write?consistency=any&db=b&precision=ns&rp=']) {
  for (const isPacked of [false, true]) {
    const text = batch.replaceAll('a,source', `${path.length}${isPacked},source`)
    const headers = { 'user-agent': 'Telegraf/1.33.0 Go/1.23.4', authorization: 'Token any', 'content-type': 'text/plain; charset=utf-8' }
    if (isPacked) headers['content-encoding'] = 'gzip'
    const answer = await fetch(url + path, { method: 'POST', headers, body: isPacked ? gzipSync(text) : text })
    expect('status of a batch of Telegraf', answer.status, 204)
  }
}

let total = 0
// What came over TCP is not answered, so the report may be ahead of the last of it.
for (let i = 0; i < 200 && total !== 90; i++) {
  const answer = await fetch(`${url}/reports/conversations.messages?storyId=${story}&from=2019-03-17&to=2019-03-17`)
  total = (await answer.json()).summary.total
}
expect('messages', total, 90)
console.log('node influx, questdb and batches of Telegraf: every event is in the report')
