// Writes events with @influxdata/influxdb-client (which compresses by itself) and reads them back as reports.
import { HttpError, InfluxDB, Point } from '@influxdata/influxdb-client'

const url = process.argv[2]
const story = '5b07ffafc2376e30306d9b99'
const nine = 1552813200

function expect(what, told, right) {
  if (JSON.stringify(told) !== JSON.stringify(right)) {
    console.error(`node: ${what}: told ${JSON.stringify(told)}, right ${JSON.stringify(right)}`)
    process.exit(1)
  }
}

async function report(name) {
  const answer = await fetch(`${url}/reports/${name}?storyId=${story}&from=2019-03-17&to=2019-03-17`)
  return answer.json()
}

const event = (measurement) => new Point(measurement).tag('storyId', story).tag('source', 'widget')

const write = new InfluxDB({ url, token: 'any' }).getWriteApi('o', 'b', 'ms', { maxRetries: 0 })
write.writePoint(event('conversation').intField('count', 3).booleanField('paid', true).timestamp(nine * 1000))
for (let i = 0; i < 500; i++) {
  write.writePoint(event('message').intField('count', 1).timestamp(nine * 1000 + i))
}
write.writePoint(event('interaction').tag('type', 'welcome').intField('count', 1).timestamp(nine * 1000))
await write.close()

expect('conversations', (await report('conversations')).summary.total, 3)
expect('paid', (await report('conversations.paid')).summary.total, 3)
expect('messages', (await report('conversations.messages')).summary.total, 500)
expect('average', (await report('conversations.average')).overall, 166.67)
expect('welcome', (await report('interactions.popularity'))[0], {
  type: 'welcome', name: 'Welcome Interaction', usage: 100, value: 1,
})

const bad = new InfluxDB({ url, token: 'any' }).getWriteApi('o', 'b', 'ms', { maxRetries: 0 })
bad.writePoint(event('conversation').floatField('count', 1.5).timestamp(nine * 1000))
try {
  await bad.close()
  expect('a fractional count', 'taken', 'refused')
} catch (error) {
  expect('error type', error instanceof HttpError, true)
  expect('status', error.statusCode, 400)
  expect('words', error.message.includes('count'), true)
}
console.log('node @influxdata/influxdb-client: every event that it wrote is in the reports')
