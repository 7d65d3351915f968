import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IpFilter, type IpListInForce } from '#shared/ip-filter'
import { createLogger } from '#shared/logger'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { mergeNetworks } from '#worker/ip-lists/merge-networks'
import { parseIpList } from '#worker/ip-lists/parse-ip-list'

const SILENT = createLogger({ level: 'silent', destination: 1, pretty: false })

function list(text: string, action: 'close' | 'front' = 'close'): IpListInForce {
  const parsed = parseIpList(Buffer.from(text))
  assert.ok(parsed.ok)
  return { ranges: mergeNetworks([parsed.source.networks]).ranges, action }
}

test('a disabled allowlist is everybody, a disabled blocklist nobody', () => {
  const filter = new IpFilter({ allowlist: null, blocklist: null })
  for (const address of ['192.0.2.1', '::1', 'no address']) assert.equal(filter.check(address), 'allowed')
})

test('an empty allowlist is nobody, an empty blocklist nobody too', () => {
  assert.equal(new IpFilter({ allowlist: list(''), blocklist: null }).check('192.0.2.1'), 'not-allowlisted')
  assert.equal(new IpFilter({ allowlist: null, blocklist: list('') }).check('192.0.2.1'), 'allowed')
})

test('the allowlist is asked first, and both have to agree', () => {
  const filter = new IpFilter({ allowlist: list('192.0.2.0/24'), blocklist: list('192.0.2.1\n198.51.100.1') })
  assert.equal(filter.check('192.0.2.2'), 'allowed')
  assert.equal(filter.check('192.0.2.1'), 'blocklisted')
  assert.equal(filter.check('::ffff:192.0.2.1'), 'blocklisted')
  assert.equal(filter.check('198.51.100.1'), 'not-allowlisted')
  assert.equal(filter.check('no address'), 'not-allowlisted')
})

test('a refusal is counted for its list, with the action of that list; a new list holds at once', () => {
  const memory = createCountersMemory(1)
  const row = new CounterRow(memory, 0)
  const filter = new IpFilter({ allowlist: list('192.0.2.0/24', 'front'), blocklist: list('192.0.2.1') })
  const refuse = (address: string): string | null => filter.refuse(address, row, SILENT)
  assert.deepEqual(['192.0.2.2', '192.0.2.1', '::1', '::2'].map(refuse), [null, 'close', 'front', 'front'])
  filter.set({ allowlist: null, blocklist: list('::1', 'front') })
  assert.deepEqual(['192.0.2.1', '::1', '::2'].map(refuse), [null, 'front', null])
  row.publish()
  const sums = new CounterSums(memory)
  assert.equal(sums.sum(slot('ip_blocklisted', { ip_list: 'allowlist' })), 2)
  assert.equal(sums.sum(slot('ip_blocklisted', { ip_list: 'blocklist' })), 2)
})
