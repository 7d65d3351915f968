import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MIN_SLICE_BYTES } from '#shared/state/prepaid'
import { DC_READ_BYTES } from '#worker/socket/read-buffers'
import { FakeTlsError, type FakeTlsClient } from '../support/faketls-client.ts'
import { httpGet, linesWith, SECRET, servingPid, startUpgradable } from '../support/upgrade-storm.ts'
import { MIB } from '../end-to-end/transfer.ts'
import { readMetric, waitUntil } from '../end-to-end/world.ts'

const WORKERS = 2

/** What is sent comes back: twice the bytes of the quota. */
async function echo(client: FakeTlsClient, bytes: number): Promise<void> {
  client.write(Buffer.alloc(bytes, 'echo'))
  await client.read(bytes)
}

test(
  'a quota goes on in the successor, and takes in what the process before moves until its end',
  { timeout: 60_000 },
  async (t) => {
    const proxy = await startUpgradable(t, {
      anna: `{ secret = "${SECRET}", quota = "1mib", quota-period = "total" }`,
    })
    const { program } = proxy
    const used = async (): Promise<number> =>
      readMetric(await httpGet(proxy.metricsPort, '/'), 'mtg_user_quota_used_bytes', { user: 'anna' })
    const untilUsed = (bytes: number): Promise<void> =>
      waitUntil(async () => (await used()) === bytes, `${bytes} bytes of the quota are used`)

    const held = await proxy.connect()
    await echo(held, 100_000)
    await untilUsed(200_000)
    await proxy.upgrade()
    await untilUsed(200_000)

    // Both count now: one what it still holds, the other who is new.
    const late = await proxy.connect()
    await Promise.all([echo(held, 50_000), echo(late, 60_000)])
    await untilUsed(320_000)
    process.kill(program.child.pid ?? 0, 'SIGTERM')
    await held.ended.catch(() => {}) // by FIN or by RST
    held.destroy() // it keeps its own side open
    await untilUsed(420_000)
    const { anna } = (await proxy.stats()).users
    assert.equal((anna?.bytes_in ?? 0) + (anna?.bytes_out ?? 0), 420_000)

    // What is left is too little for this, on this connection and on any other one.
    await assert.rejects(echo(late, MIB))
    await waitUntil(async () => (await proxy.stats()).total_connections === 0, 'the connection was ended')
    await assert.rejects(proxy.connect(), (error) => error instanceof FakeTlsError && error.code === 'closed')
    const atEnd = await used()
    assert.ok(
      atEnd <= MIB + WORKERS * DC_READ_BYTES,
      `${atEnd} bytes: at most a read of each thread too much`,
    )
    const short = (WORKERS - 1) * MIN_SLICE_BYTES + DC_READ_BYTES
    assert.ok(atEnd >= MIB - short, `${atEnd} bytes: at most a slice, and what was not sent, too little`)
    await waitUntil(
      () => linesWith(program, 'the quota of a user is used up').length === 1,
      'the log says so once',
    )

    process.kill(servingPid(program), 'SIGTERM')
    await program.exit()
    const kept = JSON.parse(readFileSync(join(proxy.cwd, 'state.json'), 'utf8')) as {
      users: { name: string; quota: { used: number } }[]
    }
    assert.deepEqual(
      kept.users.map(({ name, quota }) => [name, quota.used]),
      [['anna', atEnd]],
    )
  },
)
