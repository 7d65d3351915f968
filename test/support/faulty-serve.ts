import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { BroadcastChannel, resourceLimits } from 'node:worker_threads'
import { CounterSums } from '#shared/state/counters'
import { THREAD_SEQUENCE, threadStart } from '#shared/state/ledger-layout'
import serve, { type ServeTask } from '#worker/serve'
import {
  DIE_AT_START_VARIABLE,
  faultChannel,
  type FaultCommand,
  TAKEN_PORT_VARIABLE,
  type ThreadReport,
} from './faults.ts'
import { countResources, measureHeap } from './process-state.ts'

/** What the clock of the machine says, whatever a fault makes of it. */
const systemNow = Date.now

/** The worker entry for tests: the real one, which dies when it is told to, and tells who was handed over to it. */
export default async function faultyServe(task: ServeTask): Promise<void> {
  dieAtStart()
  const { boot, handOffPort } = task
  const { thread } = boot
  const channel = new BroadcastChannel(faultChannel(boot.listening[0]?.port ?? 0))
  channel.unref()
  const report = (message: ThreadReport): void => channel.postMessage(message)

  reportHandOffs(task, (remotePort) => report({ kind: 'hand-off', thread, remotePort }))
  channel.addEventListener('message', (event) => {
    const command = (event as { data: FaultCommand | ThreadReport }).data // Faults and the threads post these
    if (command.thread !== thread) return
    switch (command.kind) {
      case 'throw':
        setTimeout(() => {
          throw new Error('injected throw')
        })
        return
      case 'reject':
        void Promise.reject(new Error('injected rejection'))
        return
      case 'exit':
        return exit()
      case 'out-of-memory':
        return exhaustHeap()
      case 'block-then-exit':
        Atomics.wait(new Int32Array(command.gate ?? new SharedArrayBuffer(4)), 0, 0, command.blockMs)
        return exit()
      case 'hang':
        return hang(command.how)
      case 'close-port':
        return handOffPort.close()
      case 'exit-in-ledger': {
        const sequence = threadStart(thread) + THREAD_SEQUENCE
        exitBehindWrite(boot.ledger.buffer, command.afterWrites, sequence)
        return report({ kind: 'armed', thread })
      }
      case 'exit-in-replay-set':
        if (boot.replay !== null) exitBehindWrite(boot.replay.buffer, command.afterWrites, null)
        return report({ kind: 'armed', thread })
      case 'set-clock':
        Date.now = () => systemNow() + command.offsetMs
        return report({ kind: 'armed', thread })
      case 'skip-time':
        return void skipTime(command.ms, boot).then(() => report({ kind: 'armed', thread }))
      case 'measure-heap':
        return report({ kind: 'heap', thread, bytes: measureHeap() })
      case 'count-resources':
        return report({ kind: 'resources', thread, counts: countResources() })
      case 'started':
      case 'armed':
      case 'hand-off':
      case 'heap':
      case 'resources':
        return // what other threads tell the test
    }
  })
  report({ kind: 'started', thread, heapLimitMb: resourceLimits.maxOldGenerationSizeMb })
  try {
    await serve({ ...task, boot: withTakenPort(boot) })
  } finally {
    channel.close()
  }
}

function dieAtStart(): void {
  const marker = process.env[DIE_AT_START_VARIABLE]
  if (marker === undefined) return
  try {
    rmSync(marker)
  } catch {
    return // another thread found it
  }
  exit()
}

/** Beside the right addresses one that somebody else has. */
function withTakenPort(boot: ServeTask['boot']): ServeTask['boot'] {
  const file = process.env[TAKEN_PORT_VARIABLE]
  if (file === undefined || boot.accept?.fromStart !== true) return boot
  try {
    const port = Number(readFileSync(file, 'utf8'))
    rmSync(file)
    const addresses = [...boot.accept.addresses, { host: '127.0.0.1', port }]
    return { ...boot, accept: { ...boot.accept, addresses } }
  } catch {
    return boot // another thread found it
  }
}

/** Look over the shoulder of whoever listens on the port: a listener of our own would start it too early. */
function reportHandOffs({ handOffPort }: ServeTask, onHandOff: (remotePort: number) => void): void {
  const on = handOffPort.on.bind(handOffPort) as (name: string, listener: (value: unknown) => void) => unknown
  const watch = (name: string, listener: (value: unknown) => void): unknown =>
    on(name, (value) => {
      if (name === 'message') onHandOff((value as { remotePort: number }).remotePort) // a HandOff, by its port
      listener(value)
    })
  handOffPort.on = watch as typeof handOffPort.on // one of its overloads stands for all
}

function hang(how: 'loop' | 'sleep'): never {
  for (;;) if (how === 'sleep') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** A tick lets the others know that the thread lives, and every fourth one looks at the limits. */
const TICKS_PER_SWEEP = 4

async function skipTime(ms: number, { counters, thread }: ServeTask['boot']): Promise<void> {
  const read = process.hrtime.bigint.bind(process.hrtime)
  process.hrtime.bigint = () => read() + BigInt(ms) * 1_000_000n
  const sums = new CounterSums(counters)
  for (const last = sums.beats(thread) + BigInt(TICKS_PER_SWEEP); sums.beats(thread) < last;) await sleep(20)
}

function exit(): never {
  process.exit(7)
}

/** Of JavaScript heap, unlike a typed array. */
const MEBIBYTE = Array.from({ length: 131_072 }, (_, index) => index + 0.5)

function exhaustHeap(): void {
  const kept: number[][] = []
  // 1 MiB each: far too small to be refused by itself, and never copied by the collector, so that it is over soon.
  for (;;) kept.push(MEBIBYTE.slice())
}

const WRITES = ['add', 'sub', 'exchange', 'compareExchange', 'store'] as const

/**
 * Exit right behind the n-th atomic write into this memory, none of the later ones is made.
 * @param firstCell count from the next write to this cell, or from any if null
 */
function exitBehindWrite(memory: SharedArrayBuffer, afterWrites: number, firstCell: number | null): void {
  let writes = 0
  for (const name of WRITES) {
    const write = Atomics[name] as (cells: Int32Array, cell: number, ...values: number[]) => number // used on Int32 here
    const counted = (cells: Int32Array, cell: number, ...values: number[]): number => {
      const before = write(cells, cell, ...values)
      if (cells.buffer !== memory || (writes === 0 && firstCell !== null && cell !== firstCell)) return before
      writes += 1
      if (writes === afterWrites) exit()
      return before
    }
    Object.assign(Atomics, { [name]: counted })
  }
}
