/** A worker thread whose users come and go without pause. */
import { parentPort, workerData } from 'node:worker_threads'

import type { LedgerMemory } from '#shared/state/ledger-memory'
import { UserRows } from '#shared/state/user-rows'

interface Data {
  readonly memory: LedgerMemory
  readonly thread: number
  readonly users: readonly { readonly slot: number; readonly generation: number }[]
  readonly caps: readonly number[]
  /** Attempts to be admitted; Infinity until the thread is killed. */
  readonly turns: number
  /** Connections held at once by this thread. */
  readonly held: number
  /** Leave nobody at the end. */
  readonly keeps?: boolean
  /** By user: connections as the threads themselves count them. Then: too many, admitted, attempts. */
  readonly inside: SharedArrayBuffer
}

const { memory, thread, users, caps, turns, held, keeps, inside } = workerData as Data // what the test passes
const rows = new UserRows(memory, thread)
const counts = new Int32Array(inside)
const holding: number[] = []

function leaveOldest(): void {
  const user = holding.shift()
  if (user === undefined) return
  Atomics.sub(counts, user, 1)
  rows.leave(users[user]?.slot ?? -1)
}

for (let turn = 0; turn < turns; turn++) {
  const user = (turn * 7 + thread) % users.length
  const { slot, generation } = users[user] ?? { slot: -1, generation: -1 }
  Atomics.add(counts, users.length + 2, 1)
  if (rows.admit(slot, generation) === 'admitted') {
    if (Atomics.add(counts, user, 1) >= (caps[user] ?? 0)) Atomics.add(counts, users.length, 1)
    Atomics.add(counts, users.length + 1, 1)
    const account = rows.account(slot)
    account.bytesIn += 3
    account.bytesOut += 5
    account.lastSeenMs = 1_000 + turn
    holding.push(user)
  }
  if (holding.length >= held) leaveOldest()
}
if (keeps !== true) while (holding.length > 0) leaveOldest()
parentPort?.postMessage('done')
