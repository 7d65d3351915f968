/**
 * What does it cost to ask an IP list for an address, and to compile one? 200,000 networks, half IPv4 and half IPv6; a
 * look-up beside net.BlockList's of the same networks (which Node 24 searches one by one, Node 26 does not). CPU time of the thread, in rounds that take every case in turn;
 * the median round counts. Run: node bench/micro/ip-ranges.ts [--json] [--quick]
 */
import { BlockList } from 'node:net'
import { IpRanges } from '#shared/ip-ranges'
import { mergeNetworks } from '#worker/ip-lists/merge-networks'
import { parseIpList } from '#worker/ip-lists/parse-ip-list'
import { type Case, IS_QUICK, measureCases, printFigures } from '../support/micro.ts'

const NETWORKS_PER_FAMILY = IS_QUICK ? 5000 : 100_000
/** Addresses that are asked for in turn, half of them listed: so many that no branch predictor learns them. */
const ADDRESSES = 4096

/** Every other /24 and /64 of its space, so that none of them merge. */
const v4Prefix = (n: number): string => `${1 + (n >> 15)}.${(n >> 7) & 255}.${(n & 127) * 2}`
const v6Prefix = (n: number): string => `2001:db8:${(n >> 8).toString(16)}:${((n & 255) * 2).toString(16)}`
const v4Networks = Array.from({ length: NETWORKS_PER_FAMILY }, (_, n) => v4Prefix(n))
const v6Networks = Array.from({ length: NETWORKS_PER_FAMILY }, (_, n) => v6Prefix(n))

const text = Buffer.from(
  [...v4Networks.map((prefix) => `${prefix}.0/24`), ...v6Networks.map((prefix) => `${prefix}::/64`)]
    // As no list comes: compiling has to sort.
    .toSorted((a, b) => (a.slice(4) < b.slice(4) ? -1 : 1))
    .join('\n'),
)

function compile(): IpRanges {
  const parsed = parseIpList(text)
  if (!parsed.ok) throw new Error(parsed.code)
  return new IpRanges(mergeNetworks([parsed.source.networks]).ranges)
}

/** A multiplicative walk: scattered, and the same in every run. */
const pick = (at: number): number => (at * 40_503) % NETWORKS_PER_FAMILY
const v4Addresses = Array.from({ length: ADDRESSES }, (_, at) =>
  at % 2 === 0 ? `${v4Prefix(pick(at))}.77` : `${200 + (at % 50)}.${at & 255}.3.4`,
)
const v6Addresses = Array.from({ length: ADDRESSES }, (_, at) =>
  at % 2 === 0 ? `${v6Prefix(pick(at))}:1:2:3:4` : `2a02:${(at & 0xfff).toString(16)}::1`,
)
const mappedAddresses = v4Addresses.map((address) => `::ffff:${address}`)

function lookUps(name: string, has: (address: string) => boolean, addresses: readonly string[]): Case {
  return {
    name,
    calls: addresses.length,
    run: () => {
      let found = 0
      for (const address of addresses) if (has(address)) found += 1
      if (found !== ADDRESSES / 2) throw new Error(`${name}: ${found} found`)
    },
  }
}

/** Node 24 looks through all networks, which takes a millisecond: it is asked for a few addresses only. */
function blockListCase(name: string, family: 'ipv4' | 'ipv6', addresses: readonly string[]): Case {
  const list = new BlockList()
  const prefixes =
    family === 'ipv4' ? v4Networks.map((prefix) => `${prefix}.0`) : v6Networks.map((prefix) => `${prefix}::`)
  for (const prefix of prefixes) list.addSubnet(prefix, family === 'ipv4' ? 24 : 64, family)
  const asked = addresses.slice(0, 64)
  return {
    name,
    calls: asked.length,
    run: () => asked.forEach((address) => void list.check(address, family)),
  }
}

const ranges = compile()
const cases: readonly Case[] = [
  lookUps('IPv4 address', (address) => ranges.has(address), v4Addresses),
  lookUps('IPv4-mapped address', (address) => ranges.has(address), mappedAddresses),
  lookUps('IPv6 address', (address) => ranges.has(address), v6Addresses),
  blockListCase('net.BlockList, IPv4 address', 'ipv4', v4Addresses),
  blockListCase('net.BlockList, IPv6 address', 'ipv6', v6Addresses),
  { name: 'compile, per network', calls: 2 * NETWORKS_PER_FAMILY, run: () => void compile() },
]
printFigures('ip-ranges', await measureCases(cases))
