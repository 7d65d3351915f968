import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  createReadStream,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { StateFile, type StateFileOptions } from '#primary/state-file/state-file'
import { formatTotals, type Totals } from '#primary/state-file/totals'
import { OperatorError } from '#shared/errors'
import { createLogger } from '#shared/logger'
import { makeDirectory } from '../../support/make-directory.ts'

const ANNA = new Map<string, Totals>([['anna', { bytesIn: 1, bytesOut: 2, lastSeenMs: 3 }]])
const MORE = new Map<string, Totals>([['anna', { bytesIn: 10, bytesOut: 20, lastSeenMs: 30 }]])

interface Fixture extends StateFileOptions {
  readonly directory: string
  readonly failures: () => number
  readonly logged: () => string[]
}

function prepare(t: TestContext): Fixture {
  const directory = makeDirectory(t)
  const destination = join(directory, 'log')
  let failures = 0
  return {
    directory,
    path: join(directory, 'state.json'),
    log: createLogger({ level: 'debug', destination, pretty: false }),
    onFailure: () => (failures += 1),
    failures: () => failures,
    logged: () =>
      readFileSync(destination, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { message: string }).message),
  }
}

test("what is saved is there at the next start; the file is its owner's alone, and nothing else is left", async (t) => {
  const fixture = prepare(t)
  const first = await StateFile.open(fixture)
  assert.deepEqual(first.restored, new Map())
  await first.save(() => ANNA)
  await first.close(() => MORE)
  assert.deepEqual(readdirSync(fixture.directory).toSorted(), ['log', 'state.json'])
  assert.equal(statSync(fixture.path).mode & 0o777, 0o600)
  const second = await StateFile.open(fixture)
  assert.deepEqual(second.restored, MORE)
  await second.close(() => second.restored)
})

test('a file that others can read is told of, and is ours alone after the next save', async (t) => {
  const fixture = prepare(t)
  writeFileSync(fixture.path, formatTotals(ANNA))
  chmodSync(fixture.path, 0o644)
  const first = await StateFile.open(fixture)
  assert.deepEqual(first.restored, ANNA)
  await first.close(() => MORE)
  await (await StateFile.open(fixture)).close(() => MORE)
  assert.deepEqual(fixture.logged(), [
    `others on this host can read the state file: chmod 600 ${fixture.path}`,
  ])
  assert.equal(statSync(fixture.path).mode & 0o777, 0o600)
})

test('while nothing changes nothing is written', async (t) => {
  const fixture = prepare(t)
  const file = await StateFile.open(fixture)
  await file.save(() => ANNA)
  const { ino } = statSync(fixture.path)
  await file.save(() => new Map(ANNA))
  assert.equal(statSync(fixture.path).ino, ino)
  await file.save(() => MORE)
  assert.notEqual(statSync(fixture.path).ino, ino, 'replaced, not overwritten')
  await file.close(() => MORE)
})

test('one owner: a second one is refused, and gets it when the first lets go', async (t) => {
  const fixture = prepare(t)
  const first = await StateFile.open(fixture)
  await assert.rejects(
    StateFile.open(fixture),
    (error) => error instanceof OperatorError && error.message.includes('another process uses it'),
  )
  await first.close(() => ANNA)
  const second = await StateFile.open(fixture)
  assert.deepEqual(second.restored, ANNA)
  await second.close(() => ANNA)
})

for (const [what, text] of [
  ['cut', formatTotals(ANNA).slice(0, 30)],
  ['empty', ''],
  ['binary', '\0\0\0\0'],
] as const) {
  test(`a file that is ${what} is set aside with a warning, and counting begins at 0`, async (t) => {
    const fixture = prepare(t)
    writeFileSync(fixture.path, text, { mode: 0o600 })
    const file = await StateFile.open(fixture)
    assert.deepEqual(file.restored, new Map())
    const [aside] = readdirSync(fixture.directory).filter((name) => name.includes('.broken-'))
    assert.equal(readFileSync(join(fixture.directory, aside ?? ''), 'utf8'), text)
    assert.deepEqual(fixture.logged(), ['the state file cannot be understood and was set aside'])
    await file.close(() => ANNA)
  })
}

test('so is one that is too large to be ours, without being read', async (t) => {
  const fixture = prepare(t)
  writeFileSync(fixture.path, formatTotals(ANNA), { mode: 0o600 })
  truncateSync(fixture.path, 128 * 1024 * 1024 + 1) // zeros that take no room on the disk
  const file = await StateFile.open(fixture)
  assert.deepEqual(file.restored, new Map())
  assert.deepEqual(fixture.logged(), ['the state file cannot be understood and was set aside'])
  await file.close(() => ANNA)
})

test('a save that fails is said once and counted each time; it goes on when it works again', async (t) => {
  const fixture = prepare(t)
  const file = await StateFile.open(fixture)
  mkdirSync(`${fixture.path}.tmp`) // no file can be made of that name
  await file.save(() => ANNA)
  await file.save(() => MORE)
  assert.equal(fixture.failures(), 2)
  assert.equal(existsSync(fixture.path), false)
  rmSync(`${fixture.path}.tmp`, { recursive: true })
  await file.save(() => MORE)
  assert.deepEqual(fixture.logged(), [
    'cannot write the state file: totals of users would not outlive the process',
    'the state file is written again',
  ])
  await file.close(() => MORE)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(MORE))
})

test('totals that cannot be read once are saved the next time', async (t) => {
  const fixture = prepare(t)
  const file = await StateFile.open(fixture)
  await file.save(() => {
    throw new RangeError('a mistake of ours')
  })
  assert.equal(fixture.failures(), 1)
  await file.save(() => ANNA)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(ANNA))
  await file.close(() => MORE)
})

test('a full disk costs nothing that was saved before', async (t) => {
  const fixture = prepare(t)
  const file = await StateFile.open(fixture)
  await file.save(() => ANNA)
  symlinkSync('/dev/full', `${fixture.path}.tmp`) // Linux: whatever is written to it finds the disk full
  await file.save(() => MORE)
  assert.equal(fixture.failures(), 1)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(ANNA))
  await file.close(() => MORE)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(MORE))
})

test('a disk that cannot be written, or is gone, costs nothing either, and is used again', async (t) => {
  const fixture = prepare(t)
  const file = await StateFile.open(fixture)
  await file.save(() => ANNA)
  symlinkSync('/proc/version', `${fixture.path}.tmp`) // Linux: nobody may write it, root included
  await file.save(() => MORE)
  assert.equal(fixture.failures(), 1)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(ANNA))
  const aside = `${fixture.directory}-aside`
  t.after(() => rmSync(aside, { recursive: true, force: true }))
  renameSync(fixture.directory, aside)
  await file.save(() => MORE)
  assert.equal(fixture.failures(), 2)
  renameSync(aside, fixture.directory)
  await file.save(() => MORE)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(MORE))
  assert.deepEqual(fixture.logged(), [
    'cannot write the state file: totals of users would not outlive the process',
    'the state file is written again',
  ])
  await file.close(() => MORE)
})

test('a directory that is not there, or too deep for a socket, is an error that says what to do', async (t) => {
  const fixture = prepare(t)
  const missing = join(fixture.directory, 'missing', 'state.json')
  const deep = join(tmpdir(), 'd'.repeat(120), 'state.json')
  for (const path of [missing, deep]) {
    await assert.rejects(
      StateFile.open({ ...fixture, path }),
      (error) =>
        error instanceof OperatorError && error.message.startsWith(`cannot use state-file ${path}: `),
    )
  }
})

test('what is no file is an error that says so; it stays where it is, and the lock is let go of', async (t) => {
  const fixture = prepare(t)
  const make = {
    directory: () => mkdirSync(fixture.path),
    pipe: () => void execFileSync('mkfifo', [fixture.path]), // to read it takes until somebody writes
    device: () => symlinkSync('/dev/null', fixture.path),
  }
  for (const [what, create] of Object.entries(make)) {
    create()
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(
        StateFile.open(fixture),
        (error) =>
          error instanceof OperatorError &&
          error.message ===
            `cannot use state-file ${fixture.path}: ${fixture.path} is not a regular file: name another one, or remove it`,
        what,
      )
    }
    rmSync(fixture.path, { recursive: true })
  }
})

test('every 30 seconds it is saved', async (t) => {
  const fixture = prepare(t)
  t.mock.timers.enable({ apis: ['setInterval'] })
  const file = await StateFile.open(fixture)
  let now: ReadonlyMap<string, Totals> = ANNA
  let reads = 0
  file.keepSaving(() => {
    reads += 1
    return now
  })
  t.mock.timers.tick(29_999)
  // Whatever is in the queue before it is done when this one is.
  await file.save(() => new Map())
  assert.equal(reads, 0)
  t.mock.timers.tick(1)
  await file.save(() => now)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(ANNA))
  now = MORE
  t.mock.timers.tick(30_000)
  await file.close(() => now)
  assert.equal(reads, 2)
})

test('while the disk takes no end over a save, no others line up behind it', async (t) => {
  const fixture = prepare(t)
  t.mock.timers.enable({ apis: ['setInterval'] })
  const file = await StateFile.open(fixture)
  execFileSync('mkfifo', [`${fixture.path}.tmp`]) // to open it takes until somebody reads
  let reads = 0
  file.keepSaving(() => {
    reads += 1
    return new Map([['anna', { bytesIn: reads, bytesOut: 0, lastSeenMs: null }]])
  })
  /** Seconds that pass at once, with some time for the disk in between, until this is so. */
  const pass = async (isOver: (seconds: number) => boolean): Promise<void> => {
    for (let seconds = 0; !isOver(seconds); seconds++) {
      assert.ok(seconds < 2_000, 'it never came to be')
      t.mock.timers.tick(1000)
      await sleep(2)
    }
  }
  await pass(() => reads > 0)
  await pass((seconds) => seconds > 65)
  assert.equal(reads, 1)
  createReadStream(`${fixture.path}.tmp`)
    .on('error', () => {})
    .resume() // the disk is back
  await file.save(() => ANNA)
  await file.save(() => ANNA)
  await pass(() => reads > 1)
  await file.close(() => MORE)
  assert.equal(readFileSync(fixture.path, 'utf8'), formatTotals(MORE))
})

test('the file is on the disk before it has its name, and the name before the save is done', async (t) => {
  const fixture = prepare(t)
  const handle = await open(fixture.directory, 'r')
  const prototype = Object.getPrototypeOf(handle) as FileHandle // which has `sync`
  await handle.close()
  const synced: string[] = []
  t.mock.method(prototype, 'sync', async function (this: FileHandle) {
    const kind = (await this.stat()).isDirectory() ? 'directory' : 'file'
    synced.push(`${kind}, ${existsSync(fixture.path) ? 'named' : 'unnamed'}`)
  })
  const file = await StateFile.open(fixture)
  await file.save(() => ANNA)
  assert.deepEqual(synced, ['file, unnamed', 'directory, named'])
  await file.close(() => ANNA)
})
