import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { BugError, DialError } from '#shared/errors'
import { createLogger, formatError, type Logger } from '#shared/logger'
import { makeDirectory } from '../support/make-directory.ts'

/** A logger to a file, and what it wrote as parsed lines. */
function openLog(
  t: TestContext,
  options: { level?: 'debug' | 'info' | 'silent'; name?: string; pretty?: boolean } = {},
): { log: Logger; text: () => string; lines: () => Record<string, unknown>[] } {
  const folder = makeDirectory(t)
  const destination = join(folder, 'log')
  const log = createLogger(
    { level: options.level ?? 'info', destination, pretty: options.pretty ?? false },
    options.name,
  )
  const text = (): string => readFileSync(destination, 'utf8')
  return {
    log,
    text,
    lines: () =>
      text()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

test('a line has the fields of the reference and no others', (t) => {
  const { log, lines } = openLog(t, { name: 'proxy' })
  const before = Date.now()
  log
    .child({ 'client-ip': '192.0.2.1' })
    .warn({ dc: 2, error: new DialError('timeout', 'timed out') }, 'cannot dial to telegram')
  const [line] = lines()
  assert.ok(line !== undefined)
  const { timestamp, ...rest } = line
  assert.deepEqual(rest, {
    level: 'warn',
    'client-ip': '192.0.2.1',
    dc: 2,
    logger: 'proxy',
    error: 'timed out',
    message: 'cannot dial to telegram',
  })
  assert.ok(Number.isInteger(timestamp) && Number(timestamp) >= before && Number(timestamp) <= Date.now())
})

test('messages of the program as a whole have an empty logger name', (t) => {
  const { log, lines } = openLog(t)
  log.info('x')
  assert.equal(lines()[0]?.['logger'], '')
})

test('keys and tokens never print, wherever they are nested, and names of users do', (t) => {
  const { log, text, lines } = openLog(t, { level: 'debug' })
  const key = new Uint8Array(16).fill(77)
  log.child({ token: 'hidden-1', link: { secret: 'hidden-5' } }).debug(
    {
      secret: 'hidden-2',
      secret_name: 'anna',
      'api-token': 'hidden-3',
      config: { users: [{ name: 'anna', secrets: [{ key, host: 'example.com' }] }] },
      more: { deep: { Password: 'hidden-4', bytes: key } },
    },
    'configuration',
  )
  assert.doesNotMatch(text(), /hidden|77,77/)
  const [line] = lines()
  assert.equal(line?.['secret_name'], 'anna')
  assert.deepEqual(line?.['config'], { users: [{ name: 'anna', secrets: '…' }] })
  assert.deepEqual(line?.['more'], { deep: { Password: '…', bytes: '16 bytes' } })
})

test('a foreseen error is one sentence with its causes, a bug keeps its stack', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 192.0.2.1:443'), { syscall: 'connect' })
  assert.equal(
    formatError(new DialError('failed', 'cannot dial DC 2', { cause: refused })),
    'cannot dial DC 2: connect ECONNREFUSED 192.0.2.1:443',
  )
  assert.equal(
    formatError(new DialError('failed', `no way: ${refused.message}`, { cause: refused })),
    `no way: ${refused.message}`,
  )
  assert.match(String(formatError(new BugError('broken'))), /broken\n +at /)
  const circular = new DialError('failed', 'again')
  circular.cause = circular
  assert.equal(formatError(circular), 'again')
  const chain = (length: number): Error =>
    new DialError('failed', `level ${length}`, length > 1 ? { cause: chain(length - 1) } : {})
  assert.match(String(formatError(chain(20))), /^level 20: .*: level 12$/, 'itself and eight causes')
})

test('what is nested without end is not printed below its sixth level', (t) => {
  const { log, lines } = openLog(t)
  log.info({ a: { b: { c: { d: { e: { f: { g: 1 } } } } } } }, 'deep')
  assert.deepEqual(lines()[0]?.['a'], { b: { c: { d: { e: { f: '…' } } } } })
})

test('levels below the one asked for are not written', (t) => {
  const { log, text } = openLog(t, { level: 'info' })
  log.debug('hidden')
  log.info('shown')
  assert.match(text(), /shown/)
  assert.doesNotMatch(text(), /hidden/)
  const silent = openLog(t, { level: 'silent' })
  silent.log.warn('nothing')
  assert.equal(silent.text(), '')
})

test('the readable form hides keys as well', (t) => {
  const { log, text } = openLog(t, { pretty: true })
  log.info({ secret: 'hidden', bind: '0.0.0.0:3128' }, 'listening')
  assert.match(text(), /INFO.*listening/)
  assert.match(text(), /0\.0\.0\.0:3128/)
  assert.doesNotMatch(text(), /hidden/)
})

test('a destination that cannot be written does not end the program', (t) => {
  // The descriptor of a device that is always full, as a disk is some day.
  const log = createLogger({ level: 'info', destination: '/dev/full', pretty: false })
  t.assert.doesNotThrow(() => log.info('lost'))
})
