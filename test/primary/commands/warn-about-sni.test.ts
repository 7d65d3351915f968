import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { warnAboutSni } from '#primary/commands/warn-about-sni'
import { readConfig } from '#primary/config/read'
import { createLogger } from '#shared/logger'
import { makeDirectory } from '../../support/make-directory.ts'

/** `localhost` needs no resolver of the Internet. */
const LOCAL = `ee${'01'.repeat(16)}${Buffer.from('localhost').toString('hex')}`
const NOWHERE = `ee${'02'.repeat(16)}${Buffer.from('nowhere.invalid').toString('hex')}`

async function warningsFor(t: TestContext, lines: string): Promise<Record<string, unknown>[]> {
  const destination = join(makeDirectory(t), 'log')
  const log = createLogger({ level: 'info', destination, pretty: false })
  const { config } = readConfig(`bind-to = "127.0.0.1:1"\n${lines}`, { fileName: 'config.toml' })
  await warnAboutSni(config, log)
  return readFileSync(destination, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('a host that is our public address is nothing to warn about', async (t) => {
  assert.deepEqual(await warningsFor(t, `secret = "${LOCAL}"\npublic-ipv4 = "127.0.0.1"`), [])
})

test('a host that resolves to another address is warned about with both sides', async (t) => {
  const [warning, ...others] = await warningsFor(t, `secret = "${LOCAL}"\npublic-ipv4 = "203.0.113.7"`)
  assert.deepEqual(others, [])
  assert.equal(warning?.['message'], 'SNI-DNS mismatch')
  assert.equal(warning?.['hostname'], 'localhost')
  assert.match(String(warning?.['resolved']), /127\.0\.0\.1|::1/)
  assert.equal(warning?.['public_ip'], '203.0.113.7/')
  assert.equal(warning?.['ipv4_match'], 'false')
})

test('a host that does not resolve is warned about', async (t) => {
  const [warning] = await warningsFor(t, `secret = "${NOWHERE}"\npublic-ipv4 = "203.0.113.7"`)
  assert.equal(warning?.['message'], 'SNI-DNS check: cannot resolve secret hostname')
})

test('without a public address in the configuration nobody is asked', async (t) => {
  assert.deepEqual(await warningsFor(t, `secret = "${NOWHERE}"`), [])
})
