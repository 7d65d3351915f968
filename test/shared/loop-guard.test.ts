import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import type { HostPort } from '#shared/dc'
import { LoopGuard } from '#shared/loop-guard'

const at = (host: string, port = 443): HostPort => ({ host, port })
const LOCAL = ['192.168.1.5', '2001:db8::5']

interface Row {
  what: string
  listening: readonly HostPort[]
  public?: readonly string[]
  dialled: HostPort
  ours: boolean
}

const TABLE: readonly Row[] = [
  { what: 'a bind address', listening: [at('192.0.2.1')], dialled: at('192.0.2.1'), ours: true },
  {
    what: 'a bind address, another port',
    listening: [at('192.0.2.1')],
    dialled: at('192.0.2.1', 80),
    ours: false,
  },
  {
    what: 'a bind address, IPv4 as IPv6',
    listening: [at('192.0.2.1')],
    dialled: at('::ffff:192.0.2.1'),
    ours: true,
  },
  {
    what: 'an IPv6 bind address, written otherwise',
    listening: [at('2001:DB8::1')],
    dialled: at('2001:db8:0:0::1'),
    ours: true,
  },
  { what: 'a neighbour', listening: [at('192.0.2.1')], dialled: at('192.0.2.2'), ours: false },
  {
    what: 'the second of two listeners',
    listening: [at('192.0.2.1'), at('192.0.2.2', 8443)],
    dialled: at('192.0.2.2', 8443),
    ours: true,
  },
  {
    what: 'our public address with a bind port',
    listening: [at('10.0.0.2', 443)],
    public: ['198.51.100.9'],
    dialled: at('198.51.100.9'),
    ours: true,
  },
  {
    what: 'our public address with another port',
    listening: [at('10.0.0.2', 8443)],
    public: ['198.51.100.9'],
    dialled: at('198.51.100.9'),
    ours: false,
  },
  {
    what: 'our public IPv6 address',
    listening: [at('10.0.0.2', 443)],
    public: ['2001:db8::9'],
    dialled: at('2001:DB8::0009'),
    ours: true,
  },
  ...[at('127.0.0.1'), at('::1')].flatMap((listener) => [
    { what: 'no address', listening: [listener], dialled: at('0.0.0.0'), ours: true },
    { what: 'no IPv6 address', listening: [listener], dialled: at('::'), ours: true },
    { what: 'no address, another port', listening: [listener], dialled: at('0.0.0.0', 80), ours: false },
  ]),
  {
    what: 'an interface, listening on all',
    listening: [at('0.0.0.0')],
    dialled: at('192.168.1.5'),
    ours: true,
  },
  {
    what: 'an IPv6 interface, listening on all',
    listening: [at('::')],
    dialled: at('2001:db8:0::5'),
    ours: true,
  },
  {
    what: 'an interface, listening on all, another port',
    listening: [at('0.0.0.0')],
    dialled: at('192.168.1.5', 80),
    ours: false,
  },
  {
    what: 'an interface, listening on another one',
    listening: [at('192.0.2.1')],
    dialled: at('192.168.1.5'),
    ours: false,
  },
  {
    what: 'any loopback address, listening on all',
    listening: [at('0.0.0.0')],
    dialled: at('127.9.9.9'),
    ours: true,
  },
  { what: 'IPv6 loopback, listening on all', listening: [at('::')], dialled: at('::1'), ours: true },
  {
    what: 'the unspecified address, listening on all',
    listening: [at('::')],
    dialled: at('0.0.0.0'),
    ours: true,
  },
  { what: 'a stranger, listening on all', listening: [at('::')], dialled: at('203.0.113.80'), ours: false },
]

for (const { what, listening, dialled, ours, ...row } of TABLE) {
  test(`dialling ${what} ${ours ? 'leads back to us' : 'does not lead back to us'}`, () => {
    const guard = new LoopGuard(listening, row.public ?? [], () => LOCAL)
    assert.equal(guard.isOurs(dialled, 0), ours)
  })
}

test('interfaces that come and go are noticed within seconds, and not looked up for every probe', () => {
  let lookups = 0
  let local = ['192.168.1.5']
  const guard = new LoopGuard([at('0.0.0.0')], [], () => {
    lookups += 1
    return local
  })
  for (let nowMs = 0; nowMs < 1000; nowMs++) assert.equal(guard.isOurs(at('192.168.1.6'), nowMs), false)
  assert.equal(lookups, 1)
  local = ['192.168.1.6']
  assert.equal(guard.isOurs(at('192.168.1.6'), 11_000), true)
  assert.equal(guard.isOurs(at('192.168.1.5'), 11_000), false)
  assert.equal(lookups, 2)
})

test('without a list given the interfaces of this machine are looked at', () => {
  const guard = new LoopGuard([at('::')], [])
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
  assert.ok(own.length > 0)
  for (const address of own) assert.equal(guard.isOurs(at(address), 0), true, address)
})

test('link-local addresses with a zone are no reason to throw', () => {
  const guard = new LoopGuard([at('::')], [], () => ['fe80::1'])
  assert.equal(guard.isOurs(at('fe80::2%eth0'), 0), false)
})

test('a system that does not tell its addresses is asked again later, and what it said before holds', () => {
  let answers = 0
  const guard = new LoopGuard([{ host: '0.0.0.0', port: 443 }], [], () => {
    answers += 1
    if (answers > 1) throw new Error('out of descriptors')
    return ['192.0.2.7']
  })
  const here = { host: '192.0.2.7', port: 443 }
  assert.equal(guard.isOurs(here, 0), true)
  assert.equal(guard.isOurs(here, 60_000), true)
  assert.equal(guard.isOurs({ host: '192.0.2.8', port: 443 }, 60_001), false)
  assert.equal(answers, 2, 'once per interval, not per probe')
})
