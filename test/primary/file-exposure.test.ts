import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findExposure } from '#primary/file-exposure'

const OURS = 1000
const ROOT = 0

test('a file for the proxy alone is its own, or one that it may only read as the group', () => {
  const table: [mode: number, owner: number, others: string | null][] = [
    [0o600, OURS, null],
    [0o400, OURS, null],
    [0o700, OURS, null],
    [0o640, OURS, 'read'],
    [0o640, ROOT, null],
    [0o440, ROOT, null],
    [0o644, ROOT, 'read'],
    [0o604, OURS, 'read'],
    [0o620, OURS, 'change'],
    [0o660, ROOT, 'change'],
    [0o602, OURS, 'change'],
    [0o666, ROOT, 'read and change'],
  ]
  for (const [mode, uid, others] of table)
    assert.equal(findExposure({ mode: 0o100000 | mode, uid }, OURS)?.others ?? null, others, mode.toString(8))
  assert.equal(findExposure({ mode: 0o100044, uid: OURS }, OURS)?.mode, '0044')
})
