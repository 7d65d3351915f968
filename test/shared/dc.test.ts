import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  BUILT_IN_DCS,
  dcCandidates,
  DEFAULT_DC,
  formatHostPort,
  listDcAddresses,
  mergeDcTable,
  type DcTable,
  type HostPort,
} from '#shared/dc'

const at = (host: string, port = 443): HostPort => ({ host, port })
const TABLE: DcTable = { 2: [at('10.0.0.1'), at('::1'), at('10.0.0.2'), at('::2'), at('10.0.0.3')] }
const hosts = (list: readonly HostPort[]): string[] => list.map((address) => address.host)

test('addresses are filtered and ordered by the preferred family', () => {
  const v4 = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
  const v6 = ['::1', '::2']
  assert.deepEqual(hosts(dcCandidates(TABLE, 2, 'only-ipv4', 0)), v4)
  assert.deepEqual(hosts(dcCandidates(TABLE, 2, 'only-ipv6', 0)), v6)
  assert.deepEqual(hosts(dcCandidates(TABLE, 2, 'prefer-ipv4', 0)), [...v4, ...v6])
  assert.deepEqual(hosts(dcCandidates(TABLE, 2, 'prefer-ipv6', 0)), [...v6, ...v4])
})

test('a media data centre has the addresses of its number, an unknown one has none', () => {
  assert.deepEqual(dcCandidates(TABLE, -2, 'prefer-ipv4', 0), dcCandidates(TABLE, 2, 'prefer-ipv4', 0))
  assert.deepEqual(dcCandidates(TABLE, 3, 'prefer-ipv4', 0), [])
  assert.deepEqual(dcCandidates({ 1: [at('::1')] }, 1, 'only-ipv4', 5), [])
})

test('turn by turn every address of a family comes first equally often, and none is lost', () => {
  const firsts = new Map<string, number>()
  for (let turn = 0; turn < 12; turn++) {
    const candidates = hosts(dcCandidates(TABLE, 2, 'prefer-ipv4', turn))
    assert.deepEqual(candidates.toSorted(), hosts(TABLE[2] ?? []).toSorted())
    assert.ok(candidates.slice(0, 3).every((host) => isIP(host) === 4))
    firsts.set(candidates[0] ?? '', (firsts.get(candidates[0] ?? '') ?? 0) + 1)
  }
  assert.deepEqual([...firsts.values()], [4, 4, 4])
})

test('the built-in table is the one of the specification', () => {
  assert.deepEqual(Object.keys(BUILT_IN_DCS), ['1', '2', '3', '4', '5', '203'])
  assert.deepEqual(hosts(BUILT_IN_DCS[2] ?? []), ['149.154.167.51', '95.161.76.100', '2001:67c:4e8:f002::a'])
  for (const addresses of Object.values(BUILT_IN_DCS)) {
    for (const { host, port } of addresses) {
      assert.notEqual(isIP(host), 0)
      assert.equal(port, 443)
    }
    assert.deepEqual(new Set(addresses.map(({ host }) => isIP(host))), new Set([4, 6]))
  }
  assert.ok(BUILT_IN_DCS[DEFAULT_DC])
})

test('the operator’s entries replace the built-in ones of their data centres and leave the others', () => {
  const own = [at('127.0.0.1', 8443)]
  const merged = mergeDcTable({ 2: own, 10_002: own })
  assert.deepEqual(merged[2], own)
  assert.deepEqual(merged[10_002], own)
  assert.deepEqual(merged[1], BUILT_IN_DCS[1])
  assert.equal(BUILT_IN_DCS[2]?.length, 3)
  assert.deepEqual(mergeDcTable({}), BUILT_IN_DCS)
})

test('the list of addresses has each one of a data centre once, in an order that every thread shares', () => {
  const host = fc.constantFrom('10.0.0.1', '10.0.0.2', '::1')
  const table = fc.dictionary(
    fc.integer({ min: 1, max: 300 }).map(String),
    fc.array(fc.record({ host, port: fc.constantFrom(443, 8443) }), { maxLength: 5 }),
  )
  fc.assert(
    fc.property(table, (entries) => {
      const listed = listDcAddresses(entries)
      assert.deepEqual(listDcAddresses(structuredClone(entries)), listed)
      const expected = new Set(
        Object.entries(entries).flatMap(([dc, list]) => list.map((a) => `${dc} ${a.host}`)),
      )
      assert.deepEqual(new Set(listed.map(({ dc, ip }) => `${dc} ${ip}`)), expected)
      assert.equal(listed.length, expected.size)
    }),
  )
  assert.equal(listDcAddresses(BUILT_IN_DCS).length, 13)
})

test('IPv6 addresses are written in brackets', () => {
  assert.equal(formatHostPort(at('127.0.0.1')), '127.0.0.1:443')
  assert.equal(formatHostPort(at('::1', 8443)), '[::1]:8443')
})
