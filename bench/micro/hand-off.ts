/**
 * What does it cost to give a socket to another thread? Connections that come, are handed over, taken over, and closed:
 * processor time of the primary and of the worker for each, and of one thread that keeps them, for comparison. The
 * clients are a thread of their own. Run: node bench/micro/hand-off.ts [--json] [--quick]
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import {
  isMainThread,
  MessageChannel,
  type MessagePort,
  parentPort,
  Worker,
  workerData,
} from 'node:worker_threads'

import { moveSocket } from '#primary/move-socket'
import { type HandOff, sharedNowMs } from '#shared/hand-off'
import { ByteSocket } from '#worker/socket/byte-socket'
import { CLIENT_READ_BYTES } from '#worker/socket/read-buffers'
import { WriteSlots } from '#worker/socket/write-slots'
import { IS_QUICK, printFigures } from '../support/micro.ts'
import { median } from '../support/statistics.ts'

const CONNECTIONS = IS_QUICK ? 50 : 5000
const ROUNDS = IS_QUICK ? 1 : 5
const AT_ONCE = 32

type Task =
  | { readonly role: 'clients'; readonly port: number }
  | { readonly role: 'worker'; readonly port: MessagePort }

/** Says one byte, so that the client knows that it was served, and goes. */
function serve(socket: HandOff['handle'], slots: WriteSlots, readBuffer: Buffer): void {
  const client = ByteSocket.adopt(socket, slots, readBuffer)
  client.setSink({ bytes() {}, drained() {}, ended: () => client.end(), closed() {} })
  client.write(Buffer.of(1))
  client.end()
  client.resume()
}

function runWorker(port: MessagePort): void {
  const slots = new WriteSlots()
  const readBuffer = Buffer.allocUnsafeSlow(CLIENT_READ_BYTES)
  port.on('message', ({ handle }: HandOff) => serve(handle, slots, readBuffer))
  // Asked for between the rounds.
  parentPort?.on('message', () => parentPort?.postMessage(process.threadCpuUsage()))
}

function runClients(port: number): void {
  const open = async (): Promise<void> => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.resume()
    await once(socket, 'close')
  }
  const run = async (count: number): Promise<void> => {
    let started = 0
    const lane = async (): Promise<void> => {
      while (started < count) {
        started += 1
        await open()
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    parentPort?.postMessage('done')
  }
  parentPort?.on('message', (count: number) => void run(count))
}

async function listen(onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, onSocket)
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  return server
}

const used = ({ user, system }: NodeJS.CpuUsage): number => user + system

async function main(): Promise<void> {
  const slots = new WriteSlots()
  const readBuffer = Buffer.allocUnsafeSlow(CLIENT_READ_BYTES)
  const { port1: near, port2: far } = new MessageChannel()
  const spawn = (task: Task): Worker =>
    new Worker(new URL(import.meta.url), {
      workerData: task,
      argv: process.argv.slice(2),
      transferList: task.role === 'worker' ? [task.port] : [],
    })
  const worker = spawn({ role: 'worker', port: far })
  const readWorker = async (): Promise<number> => {
    worker.postMessage('usage')
    return used(((await once(worker, 'message')) as [NodeJS.CpuUsage])[0])
  }
  const handing = await listen((socket) => {
    const { remoteAddress = '', remotePort = 0 } = socket
    const moved = moveSocket(near, socket, {
      remoteAddress,
      remotePort,
      userHints: [],
      mustFront: false,
      isProxied: false,
      handshakeSource: 0,
      acceptedAtMs: sharedNowMs(),
    })
    if (!moved) throw new Error('the socket was not moved')
  })
  const keeping = await listen((socket) => serve(socket, slots, readBuffer))
  const [toHand, toKeep] = [handing, keeping].map(
    (server) => spawn({ role: 'clients', port: (server.address() as AddressInfo).port }), // TCP servers
  ) as [Worker, Worker]

  const rounds = { primary: [] as number[], worker: [] as number[], keeper: [] as number[] }
  for (let round = 0; round <= ROUNDS; round++) {
    const workerBefore = await readWorker()
    const before = process.threadCpuUsage()
    toHand.postMessage(CONNECTIONS)
    await once(toHand, 'message')
    const primaryUsed = used(process.threadCpuUsage(before))
    const workerUsed = (await readWorker()) - workerBefore
    const keeperBefore = process.threadCpuUsage()
    toKeep.postMessage(CONNECTIONS)
    await once(toKeep, 'message')
    if (round === 0) continue // warms up
    rounds.keeper.push(used(process.threadCpuUsage(keeperBefore)))
    rounds.primary.push(primaryUsed)
    rounds.worker.push(workerUsed)
  }
  const each = (micros: readonly number[]): number => (median(micros) * 1000) / CONNECTIONS
  printFigures('hand-off', [
    { name: 'primary: accept and hand over', nsPerCall: each(rounds.primary) },
    { name: 'worker: take over, write, close', nsPerCall: each(rounds.worker) },
    { name: 'one thread: accept, write, close', nsPerCall: each(rounds.keeper) },
  ])
  process.exit(0)
}

if (isMainThread) {
  await main()
} else {
  const task = workerData as Task // from main()
  if (task.role === 'worker') runWorker(task.port)
  else runClients(task.port)
}
