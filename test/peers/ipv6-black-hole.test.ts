/** IPv6 that leads nowhere, in a network namespace of the test's own. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { BlackHoleReport } from './support/ipv6-black-hole.ts'
import { startPeer } from './support/peer.ts'

const PROGRAM = fileURLToPath(new URL('support/ipv6-black-hole.ts', import.meta.url))
/** Neighbours of an interface that nobody listens behind get every packet, and lose it. */
const NETWORK = [
  'ip link set lo up',
  'ip -6 route add blackhole 2001:db8:1::/48',
  'ip link add out type veth peer name nowhere',
  'ip link set out up',
  'ip link set nowhere up',
  'ip -6 addr add 2001:db8:3::9/64 dev out nodad',
  'ip -6 neigh add 2001:db8:3::1 lladdr 02:00:00:00:00:01 dev out nud permanent',
]
/** W10, less what a timer may be early, which on a busy machine is some time slices. */
const STAGGER_S = 0.15

test(
  'IPv6 that swallows everything delays one connection by one stagger, and none afterwards in any thread',
  { timeout: 60_000 },
  async (t) => {
    const script = [...NETWORK, `exec "${process.execPath}" "${PROGRAM}"`].join(' && ')
    const args = ['--map-root-user', '--net', 'sh', '-c', script]
    // The variable makes whoever has it a file of this test run.
    const peer = startPeer(t, 'unshare', args, { env: { NODE_TEST_CONTEXT: undefined } })
    const [code] = await once(peer.child, 'close')
    assert.equal(code, 0, peer.output)
    const json = peer.output.split('\n').findLast((line) => line.startsWith('{'))
    const report = JSON.parse(json ?? '') as BlackHoleReport
    t.diagnostic(JSON.stringify(report))

    const { silent, refusedSeconds, stillDialling } = report
    const [first = 0] = silent.seconds
    assert.ok(first >= STAGGER_S, `${first} s: less than a stagger`)
    assert.equal(silent.waited, 1, 'one dial was swallowed, of six')
    assert.equal(stillDialling, 0, 'the dial that lost is given up')
    // A route that refuses is no silence: not even the first one waits.
    assert.ok(Math.min(...refusedSeconds) < STAGGER_S, `${refusedSeconds.join()} s`)
  },
)
