import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readConfig } from '#primary/config/read'
import { readOperatorConfig } from '../../bench/support/operator-config.ts'
import { locateProxy, parseSubject } from '../../bench/support/parse-subject.ts'
import { buildConfigText, parseOverride, setValue } from '../../bench/support/proxy-config.ts'
import { buildConfig, OWN_DIRECTORY } from '../../bench/support/proxy-process.ts'
import { fillIn } from '../../bench/support/subject.ts'

const EXAMPLE = new URL('../../example.config.toml', import.meta.url).pathname

test('settings by short and by full names, as TOML has them or as text', () => {
  assert.deepEqual(parseOverride('fast-mode=false'), ['performance.fast-mode', false])
  assert.deepEqual(parseOverride('cipher=native'), ['performance.cipher', 'native'])
  assert.deepEqual(parseOverride('network.tcp-notsent-lowat="64kib"'), ['network.tcp-notsent-lowat', '64kib'])
  assert.deepEqual(parseOverride('dc.2=["127.0.0.1:1"]'), ['dc.2', ['127.0.0.1:1']])
  assert.throws(() => parseOverride('=1'), /key=value/)
})

test('a value is set without changing what was there', () => {
  const base = { defense: { 'anti-replay': { enabled: true } }, concurrency: 1 }
  const changed = setValue(base, 'defense.anti-replay.max-size', '1mib')
  assert.deepEqual(changed, {
    defense: { 'anti-replay': { enabled: true, 'max-size': '1mib' } },
    concurrency: 1,
  })
  assert.deepEqual(base, { defense: { 'anti-replay': { enabled: true } }, concurrency: 1 })
  assert.match(buildConfigText(base, { 'a.b': undefined, c: 2 }), /^concurrency = 1\nc = 2\n/)
})

test('what is started has a configuration without mistakes', () => {
  const text = buildConfig(
    { dcPort: 1000, users: 3, overrides: { 'performance.fast-mode': false } },
    2000,
    's',
  )
  const { config, warnings } = readConfig(text, { fileName: 'bench' })
  assert.deepEqual(warnings, [])
  assert.deepEqual(
    { fast: config.performance.fastMode, workers: config.performance.workers, users: config.users.length },
    { fast: false, workers: 2, users: 3 },
  )
})

test("an operator's configuration keeps its settings and nothing that leaves this machine", () => {
  const before = readFileSync(EXAMPLE, 'utf8')
  const base = readOperatorConfig(EXAMPLE)
  const text = buildConfig({ dcPort: 1000, base }, 2000, 's')
  const { config } = readConfig(text, { fileName: 'bench' })
  const { config: own } = readConfig(`${before}\nme = "ee${'1'.repeat(32)}6578616d706c652e636f6d"\n`, {
    fileName: EXAMPLE,
  })
  assert.equal(config.concurrency, own.concurrency)
  assert.deepEqual(config.defense.antiReplay, own.defense.antiReplay)
  assert.equal(config.domainFronting.host, '127.0.0.1')
  assert.deepEqual(
    Object.keys(base).filter((key) => ['api-bind-to', 'state-file', 'dc-routes', 'throttle'].includes(key)),
    [],
  )
  assert.equal(readFileSync(EXAMPLE, 'utf8'), before)
})

test('subjects: a directory, settings, a command, a proxy that runs', async () => {
  assert.equal((await parseSubject('')).name, '')
  assert.equal((await parseSubject(`${OWN_DIRECTORY} workers=1`)).name, `${OWN_DIRECTORY} workers=1`)
  await assert.rejects(parseSubject('one two'), /a checkout is one word/)
  await assert.rejects(parseSubject('no-such-revision-of-anything'), /neither a checkout/)
  await assert.rejects(parseSubject('proxy:nowhere,ee'), /not HOST:PORT/)
  const running = await parseSubject(`proxy:[::1]:8443,ee00,${process.pid}`)
  const setUp = { dcPort: 1, socksPort: 1, secretCount: 1 }
  const { host, port, secret, pids, seed } = await running.start(setUp)
  assert.deepEqual(
    { host, port, secret, pids, seed },
    { host: '::1', port: 8443, secret: 'ee00', pids: [process.pid], seed: null },
  )
  await assert.rejects((await parseSubject('sh:run {key}')).start({ ...setUp, secretCount: 2 }), /one secret/)
  assert.throws(() => locateProxy('127.0.0.1:70000', 'ee'), /not HOST:PORT/)
  for (const pid of [4_194_305, 'self', ''])
    assert.throws(() => locateProxy('127.0.0.1:443', 'ee', pid), /no such process/)
})

test('what a command is told', () => {
  assert.equal(fillIn('run {port} ${HOME} {dc-port}', { port: 1, 'dc-port': 2 }), 'run 1 ${HOME} 2')
  assert.throws(() => fillIn('{prot}', { port: 1 }), /no \{prot\}, there are port/)
})
