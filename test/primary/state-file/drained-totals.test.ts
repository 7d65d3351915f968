import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { DrainWriter, readDrained } from '#primary/state-file/drained-totals'
import { StateFile } from '#primary/state-file/state-file'
import { TotalsKeeper } from '#primary/state-file/totals-keeper'
import { formatTotals, mergeTotals, type Totals } from '#primary/state-file/totals'
import { createLogger, type Logger } from '#shared/logger'
import { waitUntil } from '../../end-to-end/world.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const anna = (bytesIn: number, lastSeenMs = 1): ReadonlyMap<string, Totals> =>
  new Map([['anna', { bytesIn, bytesOut: 2 * bytesIn, lastSeenMs }]])

interface Place {
  readonly path: string
  readonly log: Logger
  readonly onFailure: () => void
  readonly files: () => string[]
}

function prepare(t: TestContext): Place {
  const directory = makeDirectory(t)
  return {
    path: join(directory, 'state.json'),
    log: createLogger({ level: 'silent', destination: 1, pretty: false }),
    onFailure: () => assert.fail('nothing fails here'),
    files: () => readdirSync(directory).toSorted(),
  }
}

test('parts are what came since; the next one waits until the owner has taken the last', async (t) => {
  const { path, log, files } = prepare(t)
  const writer = new DrainWriter(path, anna(100))
  await writer.write(() => anna(100), false)
  assert.deepEqual(files(), [])
  await writer.write(() => anna(110), false)
  await writer.write(() => anna(115), false)
  const first = await readDrained(path, new Set(), log)
  assert.deepEqual(first.totals, anna(10))
  await writer.write(() => anna(120), true)
  const both = await readDrained(path, new Set(), log)
  assert.deepEqual([both.files.length, both.totals], [2, anna(20)])
  const known = await readDrained(path, new Set(first.files.map(({ id }) => id)), log)
  assert.deepEqual([known.files.length, known.totals], [2, anna(10)])
})

test('what killed processes have left is taken in at the next start, once', async (t) => {
  const place = prepare(t)
  writeFileSync(place.path, formatTotals(anna(1000, 5)))
  await new DrainWriter(place.path, new Map()).write(() => anna(1, 9), true)
  await new DrainWriter(place.path, new Map()).write(() => anna(20, 3), true)
  writeFileSync(`${place.path}.77.0123abcd`, 'half a fi')
  writeFileSync(`${place.path}.old`, 'not ours')
  const owner = await StateFile.open(place)
  assert.deepEqual(owner.restored, anna(1021, 9))
  await owner.close(() => owner.restored)
  assert.deepEqual(place.files(), ['state.json', 'state.json.77.0123abcd.broken', 'state.json.old'])
  const next = await StateFile.open(place)
  assert.deepEqual(next.restored, anna(1021, 9))
  await next.close(() => next.restored)
})

test('a crash between saving and removing does not count twice', async (t) => {
  const place = prepare(t)
  await new DrainWriter(place.path, new Map()).write(() => anna(7), true)
  const [left = ''] = place.files()
  const text = readFileSync(join(place.path, '..', left))
  await (await StateFile.open(place)).close(() => anna(7))
  writeFileSync(join(place.path, '..', left), text) // as if it had not been removed
  const owner = await StateFile.open(place)
  assert.deepEqual(owner.restored, anna(7))
  await owner.close(() => owner.restored)
  assert.deepEqual(place.files(), ['state.json'])
})

test('nor does a crash of the owner that takes in what another process has left meanwhile', async (t) => {
  const place = prepare(t)
  const crashed = makeDirectory(t)
  t.mock.timers.enable({ apis: ['setInterval'] })
  const owner = await StateFile.open(place)
  let counted = anna(100)
  owner.keepSaving(
    () => counted,
    (more) => {
      // It is saved, and what was left is still there: both as they would be found.
      for (const name of place.files().filter((file) => !file.endsWith('.lock')))
        cpSync(join(dirname(place.path), name), join(crashed, name))
      counted = mergeTotals(counted, more)
    },
  )
  await new DrainWriter(place.path, new Map()).write(() => anna(7), true)
  t.mock.timers.tick(2000)
  await owner.save(() => counted)
  await owner.close(() => counted)
  assert.deepEqual(counted, anna(107))
  assert.equal(readdirSync(crashed).length, 2)
  const next = await StateFile.open({ ...place, path: join(crashed, 'state.json') })
  assert.deepEqual(next.restored, anna(107))
  await next.close(() => next.restored)
})

test('from owner to owner, while both count: the sum is exact', async (t) => {
  const place = prepare(t)
  const keep = (): { keeper: TotalsKeeper; count: (bytes: number) => void; total: () => unknown } => {
    let totals: ReadonlyMap<string, Totals> = new Map()
    const add = (more: ReadonlyMap<string, Totals>): void => void (totals = mergeTotals(totals, more))
    const keeper = new TotalsKeeper({ ...place, read: () => totals, add })
    return { keeper, count: (bytes) => add(anna(bytes)), total: () => totals.get('anna')?.bytesIn ?? 0 }
  }
  const [old, next] = [keep(), keep()]
  await old.keeper.open()
  old.count(100)
  next.keeper.wait()
  next.count(1)
  assert.deepEqual([old.keeper.isOwner, next.keeper.isOwner], [true, false])
  await old.keeper.release()
  old.count(20)
  await next.keeper.adopt()
  assert.deepEqual([next.keeper.isOwner, next.total()], [true, 101])
  next.count(3000)
  await old.keeper.close()
  await waitUntil(() => next.total() === 3121, 'the owner has taken in the rest')
  await next.keeper.close()
  assert.match(readFileSync(place.path, 'utf8'), /"bytes_in":3121,"bytes_out":6242,/)
  assert.deepEqual(place.files(), ['state.json'])
})

test('who ends before owning the file leaves what it has counted to the owner', async (t) => {
  const place = prepare(t)
  const early = new TotalsKeeper({ ...place, read: () => anna(5), add: () => {} })
  early.wait()
  await early.close()
  const owner = await StateFile.open(place)
  assert.deepEqual(owner.restored, anna(5))
  await owner.close(() => owner.restored)
})
