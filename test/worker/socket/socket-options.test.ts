import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { NativeOptions } from '#worker/socket/native-options'
import { SocketOptions } from '#worker/socket/socket-options'
import { type NativeSupport, testNativeOptions } from '#worker/socket/test-native-options'
import { LIVENESS_MS } from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
/** None of them is anybody's default. */
const NETWORK = {
  keepAlive: { enabled: true, idleMs: 41_000, intervalMs: 7_000, count: 4 },
  tcpNotSentLowatBytes: 65_432,
}
/** Where koffi is not installed or the kernel has no such options, there is nothing to read back with. */
const support = await testNativeOptions()

async function openSocket(t: TestContext): Promise<Socket> {
  const server = createServer((accepted) => t.after(() => accepted.destroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1') // TCP has no other kind of address
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** What the kernel says about the socket, and what Node was told about probes. */
async function observe(
  t: TestContext,
  apply: (options: SocketOptions, socket: Socket) => void,
  network: typeof NETWORK = NETWORK,
  { native, works }: NativeSupport = support,
): Promise<{ lowat: unknown; userTimeout: unknown; congestion: unknown; keepAlive: unknown[][] }> {
  const socket = await openSocket(t)
  const before = {
    lowat: support.native?.getNumber(socket, 'TCP_NOTSENT_LOWAT'),
    userTimeout: support.native?.getNumber(socket, 'TCP_USER_TIMEOUT'),
  }
  const probes = t.mock.method(socket, 'setKeepAlive')
  apply(new SocketOptions(network, native, works), socket)
  const value = (option: 'TCP_NOTSENT_LOWAT' | 'TCP_USER_TIMEOUT', was: unknown): unknown => {
    const is = support.native?.getNumber(socket, option)
    return is === was ? 'untouched' : is
  }
  return {
    lowat: value('TCP_NOTSENT_LOWAT', before.lowat),
    userTimeout: value('TCP_USER_TIMEOUT', before.userTimeout),
    congestion: support.native?.getText(socket, 'TCP_CONGESTION'),
    keepAlive: probes.mock.calls.map((call) => call.arguments),
  }
}

const toServer = (options: SocketOptions, socket: Socket): void => options.applyToServer(socket)
const toClient = (options: SocketOptions, socket: Socket): void => options.applyToClient(socket)

test('Linux with koffi does all of it', { skip: process.platform !== 'linux' }, () => {
  assert.ok(
    support.works.has('TCP_NOTSENT_LOWAT') && support.works.has('TCP_USER_TIMEOUT'),
    `${support.reason}`,
  )
})

test('a connection of ours gets what is configured, and the kernel has it', LIMIT, async (t) => {
  const seen = await observe(t, toServer)
  assert.deepEqual(seen.keepAlive, [[true, 41_000, 7_000, 4]])
  if (support.works.has('TCP_NOTSENT_LOWAT')) assert.equal(seen.lowat, 65_432)
  if (support.works.has('TCP_USER_TIMEOUT')) assert.equal(seen.userTimeout, 41_000 + 4 * 7_000)
  if (support.works.has('TCP_CONGESTION')) assert.equal(seen.congestion, 'bbr')
})

test('a client gets it too, without a limit for what it does not acknowledge', LIMIT, async (t) => {
  const seen = await observe(t, toClient)
  assert.deepEqual(seen.keepAlive, [[true, 41_000, 7_000, 4]])
  if (support.works.has('TCP_NOTSENT_LOWAT')) assert.equal(seen.lowat, 65_432)
  assert.equal(seen.userTimeout, 'untouched')
})

test('a client is not asked sooner than after 30 s of silence', LIMIT, async (t) => {
  const network = { ...NETWORK, keepAlive: { ...NETWORK.keepAlive, idleMs: 15_000 } }
  assert.deepEqual((await observe(t, toClient, network)).keepAlive, [[true, 30_000, 7_000, 4]])
  assert.deepEqual((await observe(t, toServer, network)).keepAlive, [[true, 15_000, 7_000, 4]])
})

test('switched off, nobody is asked, and nobody is given up for not answering', LIMIT, async (t) => {
  const network = { ...NETWORK, keepAlive: { ...NETWORK.keepAlive, enabled: false } }
  for (const side of [toClient, toServer]) {
    const seen = await observe(t, side, network)
    assert.deepEqual(seen.keepAlive, [])
    assert.equal(seen.userTimeout, 'untouched')
  }
})

test('what no kernel takes is cut to what it does', LIMIT, async (t) => {
  const network = { ...NETWORK, keepAlive: { enabled: true, idleMs: 1e9, intervalMs: 1, count: 1e6 } }
  const seen = await observe(t, toServer, network)
  assert.deepEqual(seen.keepAlive, [[true, 32_767_000, 1000, 127]])
  if (support.works.has('TCP_USER_TIMEOUT')) assert.equal(seen.userTimeout, 32_767_000 + 127_000)
})

test('without the library, what Node can do is still done', LIMIT, async (t) => {
  const missing = Object.assign(new Error("Cannot find package 'koffi'"), { code: 'ERR_MODULE_NOT_FOUND' })
  const none = await testNativeOptions(() => Promise.reject(missing))
  assert.deepEqual(none, {
    native: null,
    works: new Set(),
    reason: 'the optional package koffi is not installed',
  })
  const seen = await observe(t, toServer, NETWORK, none)
  assert.deepEqual(seen.keepAlive, [[true, 41_000, 7_000, 4]])
  assert.deepEqual([seen.lowat, seen.userTimeout], ['untouched', 'untouched'])
})

test('a library that fails, lies or does nothing is found out, and not used', LIMIT, async () => {
  const broken = await testNativeOptions(() => Promise.reject(new Error('wrong libc')))
  assert.equal(broken.reason, 'koffi does not work: wrong libc')
  const useless = new NativeOptions(
    () => 0,
    () => 0,
    'linux',
  )
  assert.equal((await testNativeOptions(() => Promise.resolve(useless))).works.size, 0)
  const refused = new NativeOptions(
    () => -1,
    () => -1,
    'linux',
  )
  assert.equal((await testNativeOptions(() => Promise.resolve(refused))).works.size, 0)
  const elsewhere = new NativeOptions(
    () => 0,
    () => 0,
    'win32',
  )
  const { works, reason } = await testNativeOptions(() => Promise.resolve(elsewhere))
  assert.deepEqual([works.size, reason], [0, 'this kernel does not have them'])
})

test('a socket that is gone is let be', LIMIT, async (t) => {
  const socket = await openSocket(t)
  socket.destroy()
  const options = new SocketOptions(NETWORK, support.native, support.works)
  options.applyToClient(socket)
  options.applyToServer(socket)
  assert.equal(support.native?.setNumber(socket, 'TCP_NOTSENT_LOWAT', 1) ?? false, false)
})
