import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeDirectory } from '../support/make-directory.ts'

const WATCHDOG = new URL('watchdog.ts', import.meta.url).href

test('an input that does not end is kept and named, and the fuzzer with it is over', (t) => {
  const corpus = makeDirectory(t)
  const program = `
    import { Watchdog } from ${JSON.stringify(WATCHDOG)}
    const watchdog = new Watchdog('planted', 16, { checkMs: 20, corpus: ${JSON.stringify(corpus)} })
    for (const input of ['ends', 'never ends']) {
      watchdog.begin(Buffer.from(input))
      if (input !== 'ends') for (;;);
      await new Promise((resolve) => setTimeout(resolve, 10))
      watchdog.end()
    }`
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.equal(signal, 'SIGKILL')
  const [name = ''] = readdirSync(join(corpus, 'planted'))
  assert.equal(stderr, `planted: an input does not end, kept as ${join(corpus, 'planted', name)}\n`)
  assert.match(name, /^failed-[0-9a-f]{12}$/)
  assert.equal(readFileSync(join(corpus, 'planted', name), 'utf8'), 'never ends')
})
