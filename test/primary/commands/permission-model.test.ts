import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeSecret } from '../../end-to-end/world.ts'
import { connectFakeTls } from '../../support/faketls-client.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startStreamDc } from '../../support/stream-dc.ts'
import { LIMIT_MS, runProgram, startProgram } from './run-program.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** As SECURITY.md has them. */
const flags = (cwd: string): string[] => [
  '--permission',
  '--allow-worker',
  '--allow-net',
  `--allow-fs-read=${ROOT}`,
  `--allow-fs-read=${cwd}`,
  `--allow-fs-write=${cwd}`,
]

test(
  "under Node's permission model it serves and saves; other files are out of reach",
  { timeout: LIMIT_MS },
  async (t) => {
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const port = await findFreePort()
    const secret = makeSecret(1)
    const globals = `bind-to = "127.0.0.1:${port}"\nstate-file = "state.json"\nperformance.workers = 1\ndefense.doppelganger.learn-front = false\n`
    const cwd = makeDirectory(t, {
      'c.toml': `${globals}[dc]\n2 = "127.0.0.1:${dc.port}"\n[secrets]\nanna = "${secret}"\n`,
      'outside.toml': `${globals}[secrets]\nanna = "file:/etc/passwd"\n`,
    })
    const program = startProgram(t, ['run', 'c.toml'], { cwd, nodeArgs: flags(cwd) })
    await program.waitFor('"listening"')
    const client = await connectFakeTls({ port, secret, dc: 2 })
    client.write(Buffer.from('hello'))
    assert.equal(String(await client.read(5)), 'hello')
    client.destroy()
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)
    assert.ok(!program.stdout.includes('cannot write the state file'), program.stdout)
    assert.match(readFileSync(join(cwd, 'state.json'), 'utf8'), /"anna","bytes_in":[1-9]/)

    const { code, stderr } = await runProgram(t, ['run', 'outside.toml'], { cwd, nodeArgs: flags(cwd) })
    assert.equal(code, 1)
    assert.match(stderr, /expected a file that can be read \(ERR_ACCESS_DENIED\)/)
  },
)
