/**
 * What do the socket options cost a connection, and how do the ways to set them compare? Processor time of the thread
 * on one open connection, in rounds that take every case in turn; the median round counts. node:ffi, which needs no
 * package, is here for comparison. Run: node bench/micro/socket-options.ts [--json] [--quick]
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { SocketOptions } from '#worker/socket/socket-options'
import { testNativeOptions } from '#worker/socket/test-native-options'
import { IS_QUICK } from '../support/micro.ts'

const ROUNDS = IS_QUICK ? 1 : 5
const ROUND_MS = IS_QUICK ? 5 : 200
/** Between two looks at the clock: some hundred microseconds. */
const CALLS_PER_BATCH = 100
const IPPROTO_TCP = 6
const TCP_NOTSENT_LOWAT = 25

const network = {
  keepAlive: { enabled: true, idleMs: 15_000, intervalMs: 15_000, count: 9 },
  tcpNotSentLowatBytes: 131_072,
}

const server = createServer()
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const socket = connect((server.address() as AddressInfo).port, '127.0.0.1') // TCP has no other kind of address
await once(socket, 'connect')

const startedMs = performance.now()
const { native, works, reason } = await testNativeOptions()
const loadMs = performance.now() - startedMs
const configured = new SocketOptions(network, native, works)
const nodeOnly = new SocketOptions(network, null, new Set())

// Node remembers what it has set: only another value is a system call.
let turn = 0
const cases: [name: string, run: () => void][] = [
  ['setKeepAlive', () => socket.setKeepAlive(true, 15_000 + 1000 * (turn++ & 1), 15_000, 9)],
  ['koffi: one option', () => native?.setNumber(socket, 'TCP_NOTSENT_LOWAT', 131_072)],
  ['node:ffi: one option', await prepareFfi(socket)],
  ['a client, without the library', () => (reset(), nodeOnly.applyToClient(socket))],
  ['a client', () => (reset(), configured.applyToClient(socket))],
  ['a data centre, without the library', () => (reset(), nodeOnly.applyToServer(socket))],
  ['a data centre', () => (reset(), configured.applyToServer(socket))],
]

/** So that the next call is one for a new socket; its own price is in the figure. */
function reset(): void {
  socket.setKeepAlive(false)
}

async function prepareFfi(socket: Socket): Promise<() => void> {
  const { dlopen } = await import('node:ffi')
  const setsockopt = dlopen(null, {
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  }).functions['setsockopt'] as (...args: unknown[]) => number
  const { fd } = (socket as unknown as { readonly ['_handle']: { readonly fd: number } })['_handle']
  const value = Buffer.from(new Int32Array([131_072]).buffer)
  return () => void setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, value, 4)
}

const rounds = cases.map((): number[] => [])
for (let round = 0; round <= ROUNDS; round++) {
  for (const [at, [, run]] of cases.entries()) {
    const before = process.threadCpuUsage()
    const endMs = performance.now() + ROUND_MS
    let calls = 0
    for (; performance.now() < endMs; calls += CALLS_PER_BATCH)
      for (let i = 0; i < CALLS_PER_BATCH; i++) run()
    const { user, system } = process.threadCpuUsage(before)
    // The first round warms up.
    if (round > 0) rounds[at]?.push((user + system) / calls)
  }
}
const figures = cases.map(([name], at) => ({
  name,
  microseconds: rounds[at]?.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN,
}))
socket.destroy()
server.close()

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ figures, loadMs, works: [...works], reason }))
} else {
  console.log(`options that work: ${[...works].join(', ') || 'none'}${reason === null ? '' : ` (${reason})`}`)
  console.log(`loading and testing them: ${loadMs.toFixed(1)} ms`)
  for (const { name, microseconds } of figures) console.log(`${name.padEnd(36)}${microseconds.toFixed(2)} µs`)
}
