import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { IpRanges, openRangeCells, WORDS } from '#shared/ip-ranges'
import { parseIpAddress } from '#shared/ip-address'
import { mergeNetworks } from '#worker/ip-lists/merge-networks'
import { parseIpList } from '#worker/ip-lists/parse-ip-list'
import type { NetworkSet } from '#shared/ip-list'

interface Network {
  readonly address: string
  readonly prefix: number
}

function toSet(networks: readonly Network[]): NetworkSet {
  const parsed = parseIpList(
    Buffer.from(networks.map(({ address, prefix }) => `${address}/${prefix}`).join('\n')),
  )
  assert.ok(parsed.ok)
  return parsed.source.networks
}

/** The naive model: an address as one large number, a network as a comparison of leading bits. */
function toBits(address: string): { bits: number; value: bigint } {
  const words = new Uint32Array(4)
  const family = parseIpAddress(address, words)
  if (family === 4) return { bits: 32, value: BigInt(words[0]!) }
  return { bits: 128, value: words.reduce((value, word) => (value << 32n) | BigInt(word), 0n) }
}

function contains({ address, prefix }: Network, candidate: string): boolean {
  const network = toBits(address)
  const { bits, value } = toBits(candidate)
  const shift = BigInt(bits - prefix)
  return bits === network.bits && value >> shift === network.value >> shift
}

/** Few different bits, so that networks overlap and touch, and wide and narrow prefixes. */
const v4Network = fc.record({
  address: fc
    .tuple(fc.constantFrom(0, 10, 255), fc.nat(3), fc.constantFrom(0, 255), fc.nat(255))
    .map((octets) => octets.join('.')),
  prefix: fc.oneof(fc.integer({ min: 0, max: 32 }), fc.integer({ min: 14, max: 32 })),
})
const group = fc.constantFrom('0', '1', '2', '8000', 'fffe', 'ffff')
const v6Network = fc.record({
  address: fc
    .array(group, { minLength: 8, maxLength: 8 })
    .map((groups) => groups.join(':'))
    .filter(isNotMapped),
  prefix: fc.oneof(fc.integer({ min: 0, max: 128 }), fc.integer({ min: 100, max: 128 })),
})

function isNotMapped(address: string): boolean {
  return parseIpAddress(address, new Uint32Array(4)) === 6
}

/** The first and last address of a network and their neighbours: where a search errs if it errs. */
function edges(network: Network): string[] {
  const { bits, value } = toBits(network.address)
  const hosts = 1n << BigInt(bits - network.prefix)
  const first = (value / hosts) * hosts
  return [first - 1n, first, first + hosts - 1n, first + hosts]
    .filter((edge) => edge >= 0n && edge < 1n << BigInt(bits))
    .map((edge) => formatBits(bits, edge))
    .filter((address) => bits === 32 || isNotMapped(address))
}

function formatBits(bits: number, value: bigint): string {
  const size = bits === 32 ? 8 : 16
  const parts = Array.from(
    { length: bits / size },
    (_, at) => (value >> BigInt(bits - size * (at + 1))) & ((1n << BigInt(size)) - 1n),
  )
  return bits === 32 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':')
}

test('an address is found exactly where one of the networks has it, in whatever sources these stand', () => {
  const network = fc.oneof(v4Network, v6Network)
  fc.assert(
    fc.property(fc.array(fc.array(network, { maxLength: 12 }), { maxLength: 4 }), (sources) => {
      const all = sources.flat()
      const merged = mergeNetworks(sources.map(toSet))
      const ranges = new IpRanges(merged.ranges)
      for (const candidate of [...all.flatMap(edges), '0.0.0.0', '255.255.255.255', '::', '192.0.2.1']) {
        const expected = all.some((each) => contains(each, candidate))
        assert.equal(ranges.has(candidate), expected, candidate)
      }
      const distinct = new Set(
        all.map((each) => `${edges({ ...each }).join()} ${each.prefix} ${isIPv6(each.address)}`),
      )
      assert.equal(merged.networkCount, distinct.size)
    }),
    { numRuns: 500 },
  )
})

test('what overlaps or touches is one range', () => {
  const at = (address: string, prefix: number): Network => ({ address, prefix })
  const sets = [
    toSet([at('10.0.0.0', 9), at('10.128.0.0', 9), at('10.3.0.0', 16), at('255.255.255.255', 32)]),
    toSet([at('11.0.0.0', 8), at('255.255.255.254', 32), at('2001:db8::', 33), at('2001:db8:8000::', 33)]),
    toSet([
      at('::', 128),
      at('ffff::', 16),
      at('ffff:ffff::', 32),
      at('2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', 128),
    ]),
  ]
  const merged = mergeNetworks(sets)
  assert.deepEqual([merged.networkCount, merged.rangeCount], [12, 5])
  const { v4Firsts, v4Lasts, v6Firsts, v6Lasts } = openRangeCells(merged.ranges)
  assert.deepEqual([...v4Firsts], [0x0a00_0000, 0xffff_fffe])
  assert.deepEqual([...v4Lasts], [0x0bff_ffff, 0xffff_ffff])
  assert.equal(v6Firsts.length, 3 * WORDS)
  assert.deepEqual(
    [...v6Lasts.subarray(WORDS, 2 * WORDS)],
    [0x2001_0db8, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff],
  )
})

test('ranges of nothing contain nothing', () => {
  const { ranges, networkCount } = mergeNetworks([])
  assert.equal(networkCount, 0)
  for (const address of ['0.0.0.0', '::', 'no address', '']) assert.ok(!new IpRanges(ranges).has(address))
})

test('200,000 networks, each found, each neighbour not; with a zone or mapped too', () => {
  const networks = Array.from({ length: 100_000 }, (_, n) => [
    { address: `${1 + (n >> 15)}.${(n >> 7) & 255}.${(n & 127) * 2}.0`, prefix: 24 },
    { address: `2001:db8:${(n >> 8).toString(16)}:${((n & 255) * 2).toString(16)}::`, prefix: 64 },
  ]).flat()
  const merged = mergeNetworks([toSet(networks)])
  assert.deepEqual([merged.networkCount, merged.rangeCount], [200_000, 200_000])
  const ranges = new IpRanges(merged.ranges)
  for (let n = 0; n < 100_000; n += 97) {
    const v4 = `${1 + (n >> 15)}.${(n >> 7) & 255}`
    assert.ok(ranges.has(`${v4}.${(n & 127) * 2}.255`) && ranges.has(`::ffff:${v4}.${(n & 127) * 2}.0`))
    assert.ok(!ranges.has(`${v4}.${(n & 127) * 2 + 1}.0`))
    const v6 = `2001:db8:${(n >> 8).toString(16)}`
    assert.ok(ranges.has(`${v6}:${((n & 255) * 2).toString(16)}::1%eth0`))
    assert.ok(!ranges.has(`${v6}:${((n & 255) * 2 + 1).toString(16)}::1`))
  }
})
