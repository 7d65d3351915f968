import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { MessagePort } from 'node:worker_threads'
import { canMoveHandles } from '#primary/can-move-handles'
import { countDescriptors, eventually } from '../support/process-state.ts'
import { LIVENESS_MS } from '../support/socket-pair.ts'

const LINUX = {
  timeout: LIVENESS_MS,
  skip: process.platform !== 'linux' && 'counts descriptors as Linux does',
}

test('this Node moves handles', () => {
  assert.equal(canMoveHandles(), true)
})

test(
  'one that refuses, or loses them, is found out, and in no case a descriptor stays open',
  LINUX,
  async (t) => {
    const before = countDescriptors()
    for (let n = 0; n < 8; n++) assert.equal(canMoveHandles(), true)
    t.mock.method(MessagePort.prototype, 'postMessage', () => {
      throw new DOMException('cannot be cloned', 'DataCloneError')
    })
    for (let n = 0; n < 8; n++) assert.equal(canMoveHandles(), false)
    t.mock.method(MessagePort.prototype, 'postMessage', () => {})
    for (let n = 0; n < 8; n++) assert.equal(canMoveHandles(), null)
    await eventually('the descriptors of before', countDescriptors, (now) => now <= before)
  },
)

/** With no descriptor left, with a single one, with all of them. */
const SHORT_OF_DESCRIPTORS = `
import { closeSync, openSync } from 'node:fs'
import { canMoveHandles } from '#primary/can-move-handles'
const files = []
try { for (;;) files.push(openSync('/dev/null')) } catch {}
const found = [canMoveHandles()]
closeSync(files.pop())
found.push(canMoveHandles(), canMoveHandles())
for (const file of files) closeSync(file)
found.push(canMoveHandles())
console.log(JSON.stringify(found))
`

test(
  'a first client in a shortage of descriptors neither ends the process nor settles the matter',
  LINUX,
  async () => {
    const script = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"'
    const { stdout } = await promisify(execFile)('sh', ['-c', script, process.execPath, SHORT_OF_DESCRIPTORS])
    assert.deepEqual(JSON.parse(stdout), [null, null, null, true])
  },
)
