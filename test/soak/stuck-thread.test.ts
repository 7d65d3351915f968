import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { startProgram } from '../primary/commands/run-program.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeSecret } from '../end-to-end/world.ts'
import { makeDirectory } from '../support/make-directory.ts'

/**
 * A thread in a call of the system that never returns cannot be ended by anybody, and the end of the process waits for it.
 * Takes the real limits: 20 s until it is noticed, 5 s to end.
 */
test(
  'a thread that cannot be ended takes the process along, instead of its clients for ever',
  { timeout: 120_000 },
  async (t) => {
    const cwd = makeDirectory(t, {
      'config.toml': `secret = "${makeSecret(1)}"\nbind-to = "127.0.0.1:${await findFreePort()}"\n[performance]\nworkers = 2\n`,
    })
    const pipe = join(cwd, 'pipe')
    execFileSync('mkfifo', [pipe])
    // Both threads: what opens a pipe for reading waits for somebody who writes.
    const preload = `import { isMainThread } from 'node:worker_threads'; import { openSync } from 'node:fs';
    if (!isMainThread) setTimeout(() => openSync(${JSON.stringify(pipe)}), 1000)`
    const program = startProgram(t, ['run', 'config.toml'], {
      cwd,
      nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
    })
    assert.equal(await program.exit(), null, 'ended by a signal')
    assert.equal(program.child.signalCode, 'SIGKILL')
    const messages = program.log().map(({ message }) => message)
    assert.ok(messages.includes('worker thread hangs'))
    assert.match(
      program.stderr,
      /^mtg-multi: error: internal error: worker thread \d cannot be ended, it is stuck/m,
    )
  },
)
