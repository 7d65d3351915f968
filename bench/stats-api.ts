/**
 * What does `/stats` cost with 10,000 users, and does it disturb those who relay? `node bench/stats-api.ts [--json] [--quick]`
 *
 * First the work itself, in this process: every user has moved bytes in each of 8 threads since the last look, which is
 * the worst case. Then through a running proxy: round trips of 200 bytes, in turns with nobody asking and with somebody
 * who asks for /stats ten times a second.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { formatStats } from '#primary/stats/stats-json'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'

import { connectFakeTls } from '../test/support/faketls-client.ts'
import { findFreePort } from '../test/support/free-port.ts'
import { startStreamDc } from '../test/support/stream-dc.ts'
import { IS_QUICK } from './support/micro.ts'
import { startProxy } from './support/proxy-process.ts'
import { quantile } from './support/statistics.ts'

const USERS = IS_QUICK ? 100 : 10_000
const THREADS = 8
const LOOKS = IS_QUICK ? 3 : 60
const MESSAGE = Buffer.alloc(200, 7)
const ROUND_TRIPS = IS_QUICK ? 50 : 20_000
const TURNS = IS_QUICK ? 1 : 3

/** Asks on a thread of its own, so that reading a megabyte of JSON delays no round trip at this end. */
const ASKER = `
const { parentPort, workerData } = require('node:worker_threads')
let asking = false
parentPort.on('message', async (order) => {
  asking = order === 'ask'
  if (!asking) return
  const timesMs = []
  while (asking) {
    const startMs = performance.now()
    await (await fetch(workerData)).arrayBuffer()
    timesMs.push(performance.now() - startMs)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  parentPort.postMessage(timesMs)
})
parentPort.postMessage('ready')
`

const show = (values: readonly number[], unit: string, scale = 1): string =>
  ['p50', 'p99', 'max']
    .map((name, at) => `${name} ${(quantile(values, [0.5, 0.99, 1][at] ?? 1) * scale).toFixed(2)} ${unit}`)
    .join(', ')

/** Milliseconds of this thread for each look. */
function measureWork(): number[] {
  const memory = createLedgerMemory(THREADS)
  const ledger = new UserLedger(memory)
  const users = Array.from({ length: USERS }, (_, at) => ({
    name: `user-${String(at).padStart(5, '0')}`,
    ...ledger.addUser(),
  }))
  const threads = Array.from({ length: THREADS }, (_, thread) => new UserRows(memory, thread))
  for (const rows of threads) for (const { slot, generation } of users) rows.admit(slot, generation)
  const timesMs: number[] = []
  for (let look = 0; look < LOOKS; look++) {
    for (const rows of threads) {
      for (const { slot } of users) {
        const account = rows.account(slot)
        account.bytesIn += 1_234_567
        account.bytesOut += 7_654_321
        account.lastSeenMs = Date.now()
      }
      rows.publish()
    }
    const startMs = performance.now()
    const snapshot = users.map(({ name, slot }) => ({ name, ...ledger.read(slot) }))
    Buffer.from(formatStats({ startedAtMs: 0, users: snapshot, throttle: null }, Date.now()))
    timesMs.push(performance.now() - startMs)
  }
  return timesMs
}

async function measureRelay(): Promise<{ quiet: number[]; asked: number[]; answers: number[] }> {
  const dc = await startStreamDc({ mode: 'echo' })
  const apiPort = await findFreePort()
  const proxy = await startProxy({
    workers: 1,
    dcPort: dc.port,
    users: USERS,
    othersHaveOwnHosts: true,
    apiPort,
  })
  const client = await connectFakeTls({ port: proxy.port, secret: proxy.secret, dc: 2 })
  const roundTrips = async (): Promise<number[]> => {
    const timesMs: number[] = []
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      const startMs = performance.now()
      client.write(MESSAGE)
      await client.read(MESSAGE.length)
      timesMs.push(performance.now() - startMs)
    }
    return timesMs
  }
  const asker = new Worker(ASKER, { eval: true, workerData: `http://127.0.0.1:${apiPort}/stats` })
  await once(asker, 'message')
  const answers: number[] = []
  const quiet: number[] = []
  const asked: number[] = []
  await roundTrips() // warm
  for (let turn = 0; turn < TURNS; turn++) {
    quiet.push(...(await roundTrips()))
    asker.postMessage('ask')
    asked.push(...(await roundTrips()))
    asker.postMessage('stop')
    const [timesMs] = (await once(asker, 'message')) as [number[]]
    answers.push(...timesMs)
  }
  await asker.terminate()
  client.destroy()
  await once(client.socket, 'close')
  await proxy.stop()
  await dc.close()
  return { quiet, asked, answers }
}

measureWork()
const workMs = measureWork()
const { quiet, asked, answers } = await measureRelay()
if (process.argv.includes('--json')) {
  const shares = (values: readonly number[]): number[] =>
    [0.5, 0.99, 1].map((share) => quantile(values, share))
  const figures = {
    workMs: shares(workMs),
    answerMs: shares(answers),
    quietRoundTripMs: shares(quiet),
    askedRoundTripMs: shares(asked),
  }
  console.log(JSON.stringify({ bench: 'stats-api', users: USERS, shares: ['p50', 'p99', 'max'], figures }))
} else {
  const trip = `round trip of ${MESSAGE.length} bytes`
  console.log(`${USERS} users, all active in ${THREADS} threads: ${show(workMs, 'ms')} on the primary thread`)
  console.log(`answer to GET /stats over HTTP, ${answers.length} of them: ${show(answers, 'ms')}`)
  console.log(`${trip}, nobody asking: ${show(quiet, 'µs', 1000)}`)
  console.log(`${trip}, /stats asked for ten times a second: ${show(asked, 'µs', 1000)}`)
}
process.exit(0)
