/**
 * What does the user ledger cost a connection (one admission, one departure), the relay's tick (publication) and the
 * primary (reading 10,000 users)? Wall time per call. Run: node bench/micro/user-ledger.ts [--json] [--quick]
 */
import { once } from 'node:events'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

import { createLedgerMemory, type LedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'
import { IS_QUICK } from '../support/micro.ts'

const CALLS = IS_QUICK ? 4000 : 400_000
const USERS = IS_QUICK ? 600 : 10_000

interface User {
  readonly slot: number
  readonly generation: number
}

interface Figure {
  readonly name: string
  readonly nsPerCall: number
}

function time(name: string, calls: number, run: () => void): Figure {
  const startMs = performance.now()
  run()
  return { name, nsPerCall: ((performance.now() - startMs) * 1e6) / calls }
}

function comeAndGo(name: string, rows: UserRows, users: readonly User[]): Figure {
  return time(name, CALLS, () => {
    for (let call = 0; call < CALLS; call++) {
      const user = users[call % users.length] ?? { slot: -1, generation: -1 }
      if (rows.admit(user.slot, user.generation) === 'admitted') rows.leave(user.slot)
    }
  })
}

/** A refusal while the throttle acts: the fair share has to be known, and all counts are looked at for it. */
function atTheLimit(busy: number): Figure {
  const memory = createLedgerMemory(8)
  const ledger = new UserLedger(memory)
  const rows = new UserRows(memory, 0)
  const users = Array.from({ length: busy }, () => ledger.addUser())
  for (const { slot, generation } of users) rows.admit(slot, generation)
  ledger.setLimit(busy)
  const calls = IS_QUICK ? 200 : 20_000
  return time(`refused at the limit, ${busy} users`, calls, () => {
    for (let call = 0; call < calls; call++) {
      const user = users[call % busy] ?? { slot: -1, generation: -1 }
      rows.admit(user.slot, user.generation)
    }
  })
}

async function main(): Promise<void> {
  const threads = 8
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  const users = Array.from({ length: USERS }, () => ledger.addUser())
  const all = Array.from({ length: threads }, (_, thread) => new UserRows(memory, thread))
  const rows = all[0] ?? new UserRows(memory, 0)
  comeAndGo('warm-up', rows, users)
  const figures = [
    comeAndGo('admit and leave, one user', rows, users.slice(0, 1)),
    comeAndGo('admit and leave, 10,000 users', rows, users),
  ]
  ledger.setCap(0, 0)
  figures.push(comeAndGo('refused by the cap', rows, users.slice(0, 1)))
  ledger.setCap(0, null)

  for (const busy of [8, 500, USERS]) figures.push(atTheLimit(busy))

  for (const each of all) for (const { slot, generation } of users) each.admit(slot, generation)
  for (let round = 0; round < 5; round++) {
    for (const each of all) for (const { slot } of users) each.account(slot).bytesIn += 1_000_000
    const last = round === 4
    const publish = time('publish a user who was active', threads * USERS, () =>
      all.forEach((each) => each.publish()),
    )
    const readAll = (name: string): Figure =>
      time(name, USERS, () => users.forEach(({ slot }) => ledger.read(slot)))
    const active = readAll('read a user active on 8 threads')
    const still = readAll('read a user who was not active')
    if (last) figures.push(publish, active, still)
  }
  figures.push(time('repair, one call', 1, () => void ledger.repair()))
  figures.push(time('forget a thread, a user', USERS, () => ledger.forgetThread(7)))

  const pair = [1, 2].map(
    (thread) => new Worker(new URL(import.meta.url), { workerData: { memory, thread, users } }),
  )
  const contended = await Promise.all(
    pair.map(async (thread) => (await once(thread, 'message'))[0] as Figure),
  )
  const nsPerCall = contended.reduce((sum, figure) => sum + figure.nsPerCall, 0) / contended.length
  figures.push({ name: 'admit and leave, two threads', nsPerCall })
  print(figures)
}

function print(figures: readonly Figure[]): void {
  if (process.argv.includes('--json')) return console.log(JSON.stringify({ bench: 'user-ledger', figures }))
  for (const { name, nsPerCall } of figures)
    console.log(`${name.padEnd(34)} ${nsPerCall.toFixed(0).padStart(6)} ns`)
}

if (isMainThread) {
  await main()
} else {
  const data = workerData as { memory: LedgerMemory; thread: number; users: readonly User[] } // from main()
  const rows = new UserRows(data.memory, data.thread)
  comeAndGo('warm-up', rows, data.users.slice(0, 1))
  parentPort?.postMessage(comeAndGo('contended', rows, data.users.slice(0, 1)))
}
