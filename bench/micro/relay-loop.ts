/**
 * What does the relay loop cost alone: read, unframe, decrypt, encrypt, frame, write, over real sockets? A relay of this
 * thread between a client and a data centre that are another thread. Processor time of this one, kernel included.
 * Run: node bench/micro/relay-loop.ts [--json] [--quick]
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import type { CtrStream } from '#worker/obfuscated2/ctr-stream'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { conveyDown, conveyUp } from '#worker/relay/convey'
import { Relay } from '#worker/relay/relay'
import { ByteSocket } from '#worker/socket/byte-socket'
import { createReadBuffers } from '#worker/socket/read-buffers'
import { WriteSlots } from '#worker/socket/write-slots'
import { buildRecords, TDLIB_RECORD_PAYLOAD_BYTES } from '../../test/support/faketls-client.ts'
import { IS_QUICK, printFigures } from '../support/micro.ts'
import { RecordReader } from '../support/record-reader.ts'
import { median } from '../support/statistics.ts'
import { createSessionMeters } from '../../test/support/session-meters.ts'

const ROUNDS = IS_QUICK ? 1 : 5
const BULK_BYTES = (IS_QUICK ? 1 : 256) * 1024 * 1024
const MESSAGES = IS_QUICK ? 100 : 20_000
const MESSAGE_BYTES = 200
const CHUNK_BYTES = 64 * 1024

type Order = { readonly act: 'down' | 'up' | 'talk'; readonly amount: number }

/** The other thread: both ends of the relay. */
async function runEnds(port: number): Promise<void> {
  const open = async (): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  const client = await open()
  const dc = await open()
  let clientBytes = 0
  let dcBytes = 0
  let wake = (): void => {}
  let isEcho = false
  const records = new RecordReader((payload) => (clientBytes += payload.length))
  // No encoding is set, so chunks are Buffers.
  client.on('data', (chunk) => {
    records.take(chunk as Buffer)
    wake()
  })
  dc.on('data', (chunk) => {
    dcBytes += chunk.length
    if (isEcho) dc.write(chunk)
    else wake()
  })
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await new Promise<void>((resolve) => (wake = resolve))
  }
  const send = async (socket: Socket, chunk: Buffer, count: number): Promise<void> => {
    for (let left = count; left > 0; left--) if (!socket.write(chunk)) await once(socket, 'drain')
  }
  const plain = Buffer.alloc(CHUNK_BYTES, 1)
  const perChunk = Math.floor(CHUNK_BYTES / TDLIB_RECORD_PAYLOAD_BYTES) * TDLIB_RECORD_PAYLOAD_BYTES
  const framed = buildRecords(Buffer.alloc(perChunk, 1), TDLIB_RECORD_PAYLOAD_BYTES)
  const message = buildRecords(Buffer.alloc(MESSAGE_BYTES, 1), TDLIB_RECORD_PAYLOAD_BYTES)
  const acts = {
    async down(amount: number): Promise<void> {
      const end = clientBytes + Math.ceil(amount / CHUNK_BYTES) * CHUNK_BYTES
      await Promise.all([send(dc, plain, Math.ceil(amount / CHUNK_BYTES)), until(() => clientBytes >= end)])
    },
    async up(amount: number): Promise<void> {
      const chunks = Math.ceil(amount / perChunk)
      const end = dcBytes + chunks * perChunk
      await Promise.all([send(client, framed, chunks), until(() => dcBytes >= end)])
    },
    async talk(amount: number): Promise<void> {
      isEcho = true
      for (let left = amount; left > 0; left--) {
        const end = clientBytes + MESSAGE_BYTES
        client.write(message)
        await until(() => clientBytes >= end)
      }
      isEcho = false
    },
  }
  const run = async ({ act, amount }: Order): Promise<void> => {
    await acts[act](amount)
    parentPort?.postMessage('done')
  }
  parentPort?.on('message', (order: Order) => void run(order))
  parentPort?.postMessage('connected')
}

const ciphers = new NodeCiphers()
const stream = (seed: number): CtrStream =>
  ciphers.open({ key: Buffer.alloc(32, seed), iv: Buffer.alloc(16, seed) })

/** As a session has it, without a pacer. Returns what the other thread is told what to do with. */
async function openRelay(isFast: boolean): Promise<Worker> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted: Socket[] = []
  server.on('connection', (socket) => accepted.push(socket))
  const { port } = server.address() as AddressInfo // a TCP server
  const ends = new Worker(new URL(import.meta.url), { workerData: port, argv: process.argv.slice(2) })
  await once(ends, 'message')
  while (accepted.length < 2) await once(server, 'connection')
  const [client, dc] = accepted as [Socket, Socket]
  const slots = new WriteSlots()
  const buffers = createReadBuffers()
  const meters = createSessionMeters()
  const relay = new Relay(
    ByteSocket.adopt(client, slots, buffers.client),
    ByteSocket.adopt(dc, slots, buffers.dc),
    { mirrorsResets: false, onHalfClosed: () => {}, onEnd: () => {} },
  )
  relay.start(
    conveyUp(new RecordDecoder(), { from: stream(1), to: stream(3) }, slots, meters, () => {}),
    conveyDown(isFast ? null : { from: stream(4), to: stream(2) }, slots, meters, null),
  )
  return ends
}

async function main(): Promise<void> {
  const fast = await openRelay(true)
  const slow = await openRelay(false)
  const kib = BULK_BYTES / 1024
  const cases = [
    { name: 'down, fast mode, per KiB', ends: fast, act: 'down', amount: BULK_BYTES, units: kib },
    { name: 'down, per KiB', ends: slow, act: 'down', amount: BULK_BYTES, units: kib },
    { name: 'up, per KiB', ends: fast, act: 'up', amount: BULK_BYTES, units: kib },
    {
      name: 'message of 200 bytes, fast mode',
      ends: fast,
      act: 'talk',
      amount: MESSAGES,
      units: 2 * MESSAGES,
    },
    { name: 'message of 200 bytes', ends: slow, act: 'talk', amount: MESSAGES, units: 2 * MESSAGES },
  ] as const
  const rounds = cases.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [at, { ends, act, amount, units }] of cases.entries()) {
      const before = process.threadCpuUsage()
      ends.postMessage({ act, amount } satisfies Order)
      await once(ends, 'message')
      const { user, system } = process.threadCpuUsage(before)
      // The first round warms up.
      if (round > 0) rounds[at]?.push(((user + system) * 1000) / units)
    }
  }
  printFigures(
    'relay-loop',
    cases.map(({ name }, at) => ({ name, nsPerCall: median(rounds[at] ?? []) })),
  )
  process.exit(0)
}

if (isMainThread) await main()
else await runEnds(workerData as number) // from openRelay()
