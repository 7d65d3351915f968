import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { waitUntil } from '../end-to-end/world.ts'
import type { FakeTlsClient } from '../support/faketls-client.ts'
import { FAULT_FILE_VARIABLE, type SuccessorFault } from '../support/successor-fault.ts'
import { httpGet, linesWith, servingPid, startUpgradable } from '../support/upgrade-storm.ts'
import { makeDirectory } from '../support/make-directory.ts'

const PRELOAD = new URL('../support/successor-fault.ts', import.meta.url).href
const FAILED = 'the successor did not start, this process goes on'

async function echo(client: FakeTlsClient): Promise<void> {
  client.write(Buffer.from('still there?'))
  assert.equal((await client.read(12)).toString(), 'still there?')
}

/** Whether it is there, or has ended and nobody has asked for its exit code. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test(
  'a successor that is killed in the middle of its start leaves the old one serving; the next one takes over',
  { timeout: 120_000 },
  async (t) => {
    const file = join(makeDirectory(t), 'fault')
    const plan = (fault: SuccessorFault): void => writeFileSync(file, fault)
    plan('none')
    const proxy = await startUpgradable(t, {
      env: { [FAULT_FILE_VARIABLE]: file },
      nodeArgs: ['--import', PRELOAD],
    })
    const { program } = proxy
    const held = await proxy.connect()
    await echo(held)
    const faults = ['killed at its start', 'killed when it stands'] as const
    for (const fault of faults) {
      plan(fault)
      await proxy.upgrade(FAILED)
      assert.ok(!isThere(proxy.pids().at(-1)!), fault)
      await echo(held)
      const next = await proxy.connect()
      await echo(next)
      next.destroy()
    }
    assert.deepEqual(
      linesWith(program, FAILED).map(({ error }) => error),
      ['it ended with SIGKILL', 'it ended with SIGKILL'],
    )
    assert.equal(linesWith(program, 'a successor serves').length, 0)

    plan('none')
    await proxy.upgrade()
    assert.notEqual(servingPid(program), program.child.pid)
    await echo(held)
    const after = await proxy.connect()
    await echo(after)
    held.destroy()
    after.destroy()
    await waitUntil(() => linesWith(program, 'proxy has been stopped').length === 1, 'the old one has ended')
    await waitUntil(
      async () => (await proxy.stats()).users['anna']?.bytes_in === 12 * 7,
      'what the old one counted is counted by the new one',
    )
  },
)

test(
  'with reuse-port an upgrade cuts nobody, and its successor accepts in every thread',
  { timeout: 120_000 },
  async (t) => {
    const proxy = await startUpgradable(t, { extra: ['reuse-port = true'] })
    const { program } = proxy
    const held = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()))
    await Promise.all(held.map(echo))
    for (const upgrades of [1, 2]) {
      await proxy.upgrade()
      assert.equal(linesWith(program, 'a successor serves').length, upgrades)
      await Promise.all(held.map(echo))
      // By a hash of the ports they fall on both threads; the one before does not listen any more.
      const late = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()))
      await Promise.all(late.map(echo))
      const connections = await perThread(proxy.metricsPort)
      assert.equal(connections.length, 2)
      assert.ok(
        connections.every((count) => count > 0),
        connections.join(),
      )
      assert.equal(
        connections.reduce((sum, count) => sum + count),
        late.length,
      )
      for (const client of late) client.destroy()
    }
    for (const client of held) client.destroy()
    await waitUntil(
      () => linesWith(program, 'proxy has been stopped').length === 2,
      'the old ones have ended',
    )
    await waitUntil(
      async () => (await proxy.stats()).users['anna']?.bytes_in === 12 * (20 + 2 * 40),
      'every byte is counted',
    )
    const bad = program.log().filter(({ level }) => level === 'warn' || level === 'error')
    assert.deepEqual(bad, [])
  },
)

/** Connections that each thread of the newest process holds. */
async function perThread(metricsPort: number): Promise<number[]> {
  const text = await httpGet(metricsPort, '/')
  return [...text.matchAll(/^mtg_worker_connections\{[^}]*\} (\d+)$/gm)].map(([, count]) => Number(count))
}
