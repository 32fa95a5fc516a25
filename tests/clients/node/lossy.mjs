// Writes events with @influxdata/influxdb-client through a proxy that loses answers: each event counts once.
import { InfluxDB, Point } from '@influxdata/influxdb-client'

const [proxy, daemon] = process.argv.slice(2)
const story = '5b07ffafc2376e30306d9c03'
const nine = 1552813200n * 1_000_000_000n
const events = 4454

const options = { batchSize: 100, flushInterval: 0, maxRetries: 5000, minRetryDelay: 5, maxRetryDelay: 20, retryJitter: 5 }
const log = console.error
process.exitCode = 1 // until every event is counted once
// Now and then Node reports a broken connection once more, after the client has stopped listening and begun its retry.
process.on('uncaughtException', (error) => {
  if (error.code !== 'ECONNRESET') throw error
})
console.error = console.warn = () => {}
const write = new InfluxDB({ url: `http://${proxy}`, token: 'any' }).getWriteApi('o', 'b', 'ns', options)
for (let i = 0; i < events; i++) {
  const stamp = String(nine + BigInt(i) * 1_000n + 1n)
  write.writePoint(new Point('message').tag('storyId', story).tag('source', 'app').intField('count', 1).timestamp(stamp))
}
// A flush fails with the first answer that is lost, and leaves the lines to its next try.
for (let tries = 1; ; tries++) {
  try {
    await write.flush(true)
    break
  } catch (error) {
    if (tries === 5000) throw error
  }
}
await write.close()
const query = `storyId=${story}&from=2019-03-17&to=2019-03-17`
const report = async () => {
  for (;;) {
    try {
      return await (await fetch(`http://${daemon}/reports/conversations.messages?${query}`)).json()
    } catch (error) {
      if (!error.cause) throw error // else the daemon is down for the moment
    }
  }
}
const { summary } = await report()
if (summary.total !== events) {
  log(`node @influxdata/influxdb-client: ${summary.total} events counted of ${events} written`)
  process.exit(1)
}
process.exitCode = 0
console.log(`node @influxdata/influxdb-client: ${events} events through a proxy that loses answers, each counted once`)
