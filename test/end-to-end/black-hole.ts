import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'

/**
 * An address that answers nothing at all: its listener never accepts and its queue is full, so that the kernel drops
 * every SYN. `open()` lets it accept after all; then it echoes.
 */
export interface BlackHole {
  readonly port: number
  open(): void
}

/** Its thread lists, blocks, and serves once it is woken. */
const LISTENER = `
  const { createServer } = require('node:net')
  const { parentPort, workerData } = require('node:worker_threads')
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket))
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    Atomics.wait(new Int32Array(workerData), 0, 0)
  })
`
/** A queue of length 1 holds two. */
const QUEUE_CONNECTIONS = 2

export async function startBlackHole(t: TestContext): Promise<BlackHole> {
  const gate = new SharedArrayBuffer(4)
  const worker = new Worker(LISTENER, { eval: true, workerData: gate })
  const open = (): void => {
    Atomics.store(new Int32Array(gate), 0, 1)
    Atomics.notify(new Int32Array(gate), 0)
  }
  t.after(async () => {
    open()
    await worker.terminate()
  })
  const [port] = (await once(worker, 'message')) as [number] // the one message it sends
  const fillers: Socket[] = []
  for (let n = 0; n < QUEUE_CONNECTIONS; n++) {
    const filler = connect(port, '127.0.0.1').on('error', () => {})
    t.after(() => filler.destroy())
    await once(filler, 'connect')
    fillers.push(filler)
  }
  return {
    port,
    open() {
      for (const filler of fillers) filler.destroy()
      open()
    },
  }
}

/**
 * Connections of this machine to a port that wait for their first answer, by where they come from, as Linux lists them:
 * some rows at a time, so that one may come twice, or not at all, when others come and go meanwhile.
 */
export function listDialing(port: number): string[] {
  const SYN_SENT = '02'
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  // ::ffff:127.0.0.1 is in the second one.
  const found = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((table) => readFileSync(table, 'latin1').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote, state]) => remote?.endsWith(suffix) === true && state === SYN_SENT)
    .map(([, local = '']) => local)
  return [...new Set(found)]
}

export const countDialing = (port: number): number => listDialing(port).length
