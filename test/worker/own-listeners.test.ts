import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { pino } from 'pino'
import { OwnListeners } from '#worker/own-listeners'
import { findFreePort } from '../support/free-port.ts'
import { LIVENESS_MS } from '../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }

test('when one of the addresses cannot be had, none is listened on', LIMIT, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await once(taken, 'listening')
  const free = { host: '127.0.0.1', port: await findFreePort() }
  const other = { host: '127.0.0.1', port: (taken.address() as AddressInfo).port } // a TCP server's
  for (const addresses of [
    [free, other],
    [other, free],
  ]) {
    const listeners = new OwnListeners({
      addresses,
      backlog: 16,
      onSocket: () => assert.fail('accepted'),
      onAcceptError: () => {},
      log: pino({ level: 'silent' }),
    })
    t.after(() => listeners.close())
    await assert.rejects(listeners.listening, { code: 'EADDRINUSE' })
    const client = connect(free.port, free.host)
    t.after(() => client.destroy())
    await assert.rejects(once(client, 'connect'), { code: 'ECONNREFUSED' })
  }
})
