import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'

import { detectPublicIps } from '#primary/public-ip'

const NOTHING = { ipv4: null, ipv6: null }
const timeout = 20_000

async function startService(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // listening on TCP
  return `http://127.0.0.1:${port}`
}

test(
  'the service is asked for plain text in the words of the reference, and its answer trimmed',
  { timeout },
  async (t) => {
    const asked: IncomingMessage['headers'][] = []
    const url = await startService(t, (request, response) => {
      asked.push(request.headers)
      response.end('203.0.113.9\n')
    })
    // The service has an IPv4 address only: the other family stays unknown.
    assert.deepEqual(await detectPublicIps({ known: NOTHING, timeoutMs: 5000, url }), {
      ipv4: '203.0.113.9',
      ipv6: null,
    })
    assert.deepEqual(
      asked.map((headers) => [headers.accept, headers['user-agent']]),
      [['text/plain', 'curl/8.5.0']],
    )
  },
)

test('a family that is known is not asked for', { timeout }, async (t) => {
  let asked = 0
  const url = await startService(t, (_, response) => {
    asked += 1
    response.end('203.0.113.9')
  })
  const known = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' }
  assert.deepEqual(await detectPublicIps({ known, timeoutMs: 5000, url }), known)
  assert.equal(asked, 0)
  assert.deepEqual(await detectPublicIps({ known: { ipv4: null, ipv6: '::1' }, timeoutMs: 5000, url }), {
    ipv4: '203.0.113.9',
    ipv6: '::1',
  })
  assert.equal(asked, 1)
})

test('an answer that is no address of the family leaves it unknown', { timeout }, async (t) => {
  const answers: readonly ((response: ServerResponse) => void)[] = [
    (response) => response.end('<html>'),
    (response) => response.end('2001:db8::1'),
    (response) => response.end(''),
    (response) => response.end(`203.0.113.9${' '.repeat(1000)}`),
    (response) => response.writeHead(429).end('203.0.113.9'),
    (response) => response.destroy(),
  ]
  for (const answer of answers) {
    const url = await startService(t, (_, response) => answer(response))
    assert.deepEqual(await detectPublicIps({ known: NOTHING, timeoutMs: 5000, url }), NOTHING)
  }
})

test('a service that keeps silent costs no more than the timeout', { timeout }, async (t) => {
  const url = await startService(t, () => {})
  assert.deepEqual(await detectPublicIps({ known: NOTHING, timeoutMs: 100, url }), NOTHING)
})
