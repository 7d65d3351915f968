import assert from 'node:assert/strict'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { VisitResult } from '#shared/front-probe'
import visitPage from '#worker/tasks/visit-page'
import { LIVENESS_MS } from '../../support/socket-pair.ts'
import { startTlsSite } from '../../support/tls-site.ts'

const LIMIT = { timeout: LIVENESS_MS }
const RECORD_BYTES = 1000

/** A site that reads the request and then does what it is told. */
async function visit(
  t: TestContext,
  answer: (socket: TLSSocket, request: string) => Promise<void> | void,
  timeoutMs = LIVENESS_MS / 2,
): Promise<VisitResult> {
  const site = await startTlsSite({}, (socket) => {
    socket.once('data', (chunk: Buffer) => void answer(socket, String(chunk)))
  })
  t.after(() => site.close())
  return visitPage({
    url: `https://front.test:${site.port}/a/page?of=it`,
    addresses: [{ host: '127.0.0.1', port: site.port }],
    route: null,
    timeoutMs,
  })
}

test('the time to the first byte of the answer is no gap, the pauses in it are', LIMIT, async (t) => {
  const thinkMs = 400
  const pauseMs = 40
  let request = ''
  const page = await visit(t, async (socket, text) => {
    request = text
    await sleep(thinkMs)
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${5 * RECORD_BYTES}\r\n\r\n`)
    for (let i = 0; i < 5; i++) {
      // It has been read before the pause begins: a machine that has no time for us would bring two in one read.
      for (let turn = 0; turn < 3; turn++) await nextTurn()
      await sleep(pauseMs)
      socket.write(Buffer.alloc(RECORD_BYTES))
    }
    socket.end()
  })
  assert.ok(page.ok, JSON.stringify(page))
  assert.match(request, /^GET \/a\/page\?of=it HTTP\/1\.1\r\n/)
  assert.match(request, /host: front\.test:\d+\r\n/i)
  assert.ok(page.gapsNs.length >= 5 && page.gapsNs.length <= 6, `${page.gapsNs.length} gaps`)
  const gapsMs = page.gapsNs.slice(0, 5).map((ns) => ns / 1e6)
  // A timer fires late on a busy machine; what a test can say is that nobody waited for less, and nobody for the latency.
  assert.ok(
    gapsMs.every((ms) => ms > pauseMs * 0.5),
    gapsMs.join(),
  )
  assert.ok(Math.min(...gapsMs) < thinkMs, gapsMs.join())
  assert.ok(page.flightBytes > 500, 'the encrypted handshake was seen')
})

test('records that come in one piece have no time between them', LIMIT, async (t) => {
  const page = await visit(t, (socket) => {
    socket.cork()
    socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
    socket.uncork()
    setTimeout(() => socket.end(Buffer.alloc(200 * 1024)), 20)
  })
  assert.ok(page.ok)
  assert.ok(page.gapsNs.length >= 12)
  assert.ok(page.gapsNs.includes(0), 'a read of 64 KiB brings several')
  assert.ok(page.gapsNs.every((ns) => ns >= 0 && Number.isInteger(ns)))
})

test('a page without end is left after 16 MiB, and what was seen counts', LIMIT, async (t) => {
  let sent = 0
  const page = await visit(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    const chunk = Buffer.alloc(256 * 1024)
    const go = (): void => {
      while (!socket.destroyed && socket.write(chunk)) sent += chunk.length
      sent += chunk.length
    }
    socket.on('drain', go)
    go()
  })
  assert.ok(page.ok)
  assert.ok(page.gapsNs.length > 900, `${page.gapsNs.length}`)
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes were taken`)
})

test('a redirect is told, whole', LIMIT, async (t) => {
  const page = await visit(t, (socket) => {
    socket.end('HTTP/1.1 301 Moved\r\nLocation: //www.front.test/there\r\nContent-Length: 0\r\n\r\n')
  })
  assert.ok(page.ok)
  assert.equal(page.location, 'https://www.front.test/there')
})

test('a page that never ends its head, or never comes, is a reason', LIMIT, async (t) => {
  for (const answer of [(): void => {}, (socket: TLSSocket): void => void socket.write('HTTP/1.1 200')]) {
    const page = await visit(t, answer, 300)
    assert.ok(!page.ok)
    assert.match(page.reason, /^https:\/\/front\.test:\d+\/a\/page\?…: no answer within 300 ms$/)
  }
})

test('a page that breaks off is a reason', LIMIT, async (t) => {
  const page = await visit(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nfirst')
    setTimeout(() => socket.destroy(), 20)
  })
  assert.ok(!page.ok)
})
