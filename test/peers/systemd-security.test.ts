import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runPeer } from './support/peer.ts'

const ROOT = new URL('../../', import.meta.url)
const UNIT = fileURLToPath(new URL('contrib/systemd/mtg-multi.service', ROOT))

test('the unit is as little exposed as SECURITY.md says, or less', () => {
  const report = runPeer('systemd-analyze', ['security', '--offline=true', '--no-pager', UNIT])
  const measured = Number(/exposure level for mtg-multi\.service: ([\d.]+)/.exec(report)?.[1])
  const claimed = Number(
    /exposure of \*\*([\d.]+)\*\* of 10/.exec(readFileSync(new URL('SECURITY.md', ROOT), 'utf8'))?.[1],
  )
  assert.ok(measured > 0 && measured <= claimed, `${measured} measured, ${claimed} claimed\n${report}`)
})
