/** A worker thread that moves a user's bytes until the quota is used up. */
import { parentPort, workerData } from 'node:worker_threads'

import type { LedgerMemory } from '#shared/state/ledger-memory'
import { UserRows } from '#shared/state/user-rows'

interface Data {
  readonly memory: LedgerMemory
  readonly thread: number
  readonly user: { readonly slot: number; readonly generation: number }
  /** Chunks are from 1 byte to this. */
  readonly chunkBytes: number
  /** Chunks after which the thread publishes. */
  readonly chunksPerTick: number
  /** By thread: bytes moved so far. */
  readonly moved: SharedArrayBuffer
}

const { memory, thread, user, chunkBytes, chunksPerTick, moved } = workerData as Data // what the test passes
const state = { isUsedUp: false }
const rows = new UserRows(memory, thread, () => (state.isUsedUp = true))
const bytes = new BigInt64Array(moved)
const { slot, generation } = user

if (rows.admit(slot, generation) === 'admitted') {
  const account = rows.account(slot)
  for (let chunk = 1; !state.isUsedUp; chunk++) {
    const length = 1 + ((chunk * 7919 + thread * 104_729) % chunkBytes)
    if (chunk % 2 === 0) account.bytesIn += length
    else account.bytesOut += length
    Atomics.add(bytes, thread, BigInt(length))
    if ((account.prepaid -= length) < 0) account.payMore()
    if (chunk % chunksPerTick === 0) rows.publish()
  }
  rows.publish()
  rows.leave(slot)
}
parentPort?.postMessage('done')
