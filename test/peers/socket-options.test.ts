import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startWorld } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { runPeer } from './support/peer.ts'

const timeout = 60_000
const KEEP_ALIVE = { enabled: true, idleMs: 41_000, intervalMs: 7_000, count: 4 }
const LOWAT_BYTES = 65_536

/** What `ss` says of the only open connection that the filter finds. */
function inspect(...filter: string[]): string {
  const lines = runPeer('ss', ['-tinoeHO', 'state', 'established', ...filter]).split('\n')
  const found = lines.filter((line) => line.trim() !== '')
  assert.equal(found.length, 1, found.join('\n'))
  return found[0] ?? ''
}

test('the kernel has the options of both sides, as ss sees them', { timeout }, async (t) => {
  const { proxy, dc, secret } = await startWorld(t, {
    config: { network: { keepAlive: KEEP_ALIVE, tcpNotSentLowatBytes: LOWAT_BYTES } },
    workers: 1,
  })
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  t.after(() => client.socket.destroy())
  client.write(Buffer.from('hello'))
  await client.read(5)
  // Until the last segment is acknowledged another timer is shown.
  const wait = async (...filter: string[]): Promise<string> => {
    for (;;) {
      const line = inspect(...filter)
      if (line.includes('timer:(keepalive')) return line
      await sleep(25)
    }
  }
  const ofClient = await wait('sport', '=', `:${proxy.port}`)
  const ofDc = await wait('dport', '=', `:${dc.port}`)
  for (const line of [ofClient, ofDc]) assert.match(line, /timer:\(keepalive,(?:4[01]sec|3\dsec),0\)/)
  assert.match(ofDc, /\bbbr\b/)
})

test('what the kernel holds back for a client that does not read has a limit', { timeout }, async (t) => {
  const { proxy, secret } = await startWorld(t, {
    config: { network: { tcpNotSentLowatBytes: LOWAT_BYTES } },
    dcMode: 'source',
    workers: 1,
  })
  const client = await connectFakeTls({
    port: proxy.port,
    secret,
    dc: 2,
    firstPayload: askFor(64 * 1024 * 1024),
  })
  t.after(() => client.socket.destroy())
  client.socket.pause()
  // Full: the client's window is shut and the queue grows no more.
  let last = -1
  let notSent = 0
  while (notSent === 0 || notSent !== last) {
    await sleep(300)
    last = notSent
    notSent = Number(/\bnotsent:(\d+)/.exec(inspect('sport', '=', `:${proxy.port}`))?.[1] ?? 0)
  }
  assert.ok(notSent <= 2 * LOWAT_BYTES, `${notSent} bytes`)
})

/** A request to the streaming data centre. */
function askFor(bytes: number): Buffer {
  const request = Buffer.alloc(8)
  request.writeBigUInt64LE(BigInt(bytes))
  return request
}
