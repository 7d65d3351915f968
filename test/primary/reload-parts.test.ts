import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '#primary/config/read'
import type { ProxyParts } from '#primary/proxy-parts'
import { reloadParts } from '#primary/reload-parts'

const SECRET = `ee${'01'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const { config } = readConfig(`bind-to = "127.0.0.1:3128"\nsecret = "${SECRET}"`, { fileName: 'config.toml' })

/** Parts that write down what they are told. */
function listen(isAccepting: boolean): { parts: ProxyParts; told: string[] } {
  const told: string[] = []
  const part = (name: string): object =>
    new Proxy({}, { get: (_, method) => () => void told.push(`${name}.${String(method)}`) })
  const names = ['routing', 'state', 'resolver', 'handOffs', 'ipLists', 'autoUpdate', 'pool', 'ganger']
  const parts = {
    ...Object.fromEntries(names.map((name) => [name, part(name)])),
    log: { level: 'info' },
    gangerLog: { level: 'info' },
    current: { config, level: 'info', isAccepting },
  }
  return { parts: parts as unknown as ProxyParts, told } // what a reload tells, whatever the parts are
}

const BACKGROUND = ['ipLists.setConfig', 'autoUpdate.setOn', 'ganger.setConfig']

test('a reload reaches every part', async () => {
  const { parts, told } = listen(true)
  await reloadParts(parts, { ...config, debug: true })
  for (const call of ['state.setUsers', 'state.setThrottle', 'pool.reload', ...BACKGROUND])
    assert.ok(told.includes(call), call)
  assert.deepEqual([parts.current.level, parts.log.level, parts.gangerLog.level], ['debug', 'debug', 'debug'])
})

test('a reload of a process that drains begins nothing that the stop has ended', async () => {
  const { parts, told } = listen(false)
  await reloadParts(parts, config)
  assert.ok(told.includes('state.setUsers'), 'who is taken out is cut')
  assert.ok(told.includes('pool.reload'))
  assert.deepEqual(
    BACKGROUND.filter((call) => told.includes(call)),
    [],
  )
})
