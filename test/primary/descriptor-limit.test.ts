import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import type { Logger } from 'pino'
import { readDescriptorLimit, warnAboutDescriptors } from '#primary/descriptor-limit'

function warningsFor(concurrency: number, limit?: number): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = []
  // `warnAboutDescriptors` calls nothing of a logger but `warn` with fields and a message.
  const log = { warn: (fields: Record<string, unknown>) => lines.push(fields) } as unknown as Logger
  warnAboutDescriptors(concurrency, log, limit)
  return lines
}

test('a limit below two descriptors a connection and a hundred beside is warned about, with both numbers', () => {
  assert.deepEqual(warningsFor(8192, 16_484), [])
  assert.deepEqual(warningsFor(8192, 16_483), [{ limit: 16_483, needed: 16_484 }])
  assert.deepEqual(warningsFor(8192, 1024), [{ limit: 1024, needed: 16_484 }])
})

test('where the system tells no limit nothing is warned about', () => {
  assert.deepEqual(warningsFor(1_000_000, Infinity), [])
})

test(
  'the limit read is the one that the process runs with',
  { skip: process.platform !== 'linux' && 'only Linux tells it in /proc' },
  () => {
    const script = "import('#primary/descriptor-limit').then((m) => console.log(m.readDescriptorLimit()))"
    const run = ['-c', 'ulimit -n 333; exec "$0" -e "$1"', process.execPath, script]
    assert.equal(execFileSync('sh', run, { encoding: 'utf8' }).trim(), '333')
    assert.ok(readDescriptorLimit() > 0)
  },
)
