/**
 * What does a quota cost for each chunk that is relayed: for everybody else, and for a user who has one?
 * Run: node bench/micro/quota.ts [--json] [--quick]
 */
import { QuotaLedger } from '#shared/state/quota-ledger'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'
import { type Case, IS_QUICK, measureCases, printFigures } from '../support/micro.ts'

const CHUNKS = IS_QUICK ? 1_000 : 100_000
const THREADS = 8

/** As the relay counts a chunk. */
function countCase(name: string, hasQuota: boolean, chunkBytes: number): Case {
  const memory = createLedgerMemory(THREADS)
  const ledger = new UserLedger(memory)
  const { slot, generation } = ledger.addUser()
  // Enough for any number of rounds, so that slices have their full size.
  if (hasQuota) new QuotaLedger(memory, ledger).begin(slot, 2 ** 52, 0)
  const rows = new UserRows(memory, 0)
  rows.admit(slot, generation)
  const account = rows.account(slot)
  const run = (): void => {
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      account.bytesOut += chunkBytes
      if ((account.prepaid -= chunkBytes) < 0) account.payMore()
    }
  }
  return { name, calls: CHUNKS, run }
}

printFigures(
  'quota',
  await measureCases([
    countCase('no quota, any chunk', false, 65_536),
    countCase('quota, 1.4 KB a chunk', true, 1_400),
    countCase('quota, 64 KiB a chunk', true, 65_536),
    countCase('quota, 256 KiB a chunk', true, 262_144),
  ]),
)
