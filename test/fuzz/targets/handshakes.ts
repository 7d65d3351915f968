import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { toSource } from '#shared/network'
import { createHandshakesMemory, Handshakes, NO_SOURCE } from '#shared/state/handshakes'
import { bytes } from '../../support/generators.ts'
import { stateless, type Target } from '../target.ts'

/**
 * The limits on unfinished handshakes, by a model that keeps a list. An input is the two limits and then steps of two
 * bytes: what happens, and to whom. All that reaches this code from outside is addresses, in any order, at any time.
 */
const THREADS = 3
const ADDRESSES = [
  '192.0.2.1',
  '192.0.2.2',
  '255.255.255.255',
  '2001:db8::1',
  '2001:db8::ffff', // the same network
  '2001:db8:0:1::1',
  'fe80::1%eth0',
  '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
]
/** A place that somebody has. */
interface Held {
  readonly thread: number
  readonly source: number
  /** What it counts for, or null. */
  readonly name: string | null
}

function replay(input: Buffer): void {
  const limits = { maxHandshakes: (input[0] ?? 0) % 16, maxHandshakesPerAddress: (input[1] ?? 0) % 8 }
  const handshakes = new Handshakes(createHandshakesMemory(THREADS))
  let held: Held[] = []
  const isFull = (limit: number, count: number): boolean => limit > 0 && count >= limit
  const countOf = (name: string): number => held.filter((place) => place.name === name).length

  const admit = (thread: number, address: string | null): void => {
    const name = address === null ? null : toSource(address)
    const refusal = isFull(limits.maxHandshakes, held.length)
      ? 'total'
      : name !== null && isFull(limits.maxHandshakesPerAddress, countOf(name))
        ? 'address'
        : null
    const admission = handshakes.admit(thread, address, limits)
    assert.equal(admission.ok ? null : admission.limit, refusal)
    if (admission.ok) held.push({ thread, source: admission.source, name })
  }
  /** A PROXY header says who somebody is that was admitted without an address. */
  const learn = (address: string): void => {
    const at = held.findIndex(({ name }) => name === null)
    const place = held[at]
    if (place === undefined) return
    const name = toSource(address)
    const isRefused = isFull(limits.maxHandshakesPerAddress, countOf(name))
    const admission = handshakes.admitSource(place.thread, address, limits)
    assert.equal(admission.ok, !isRefused)
    if (admission.ok) held[at] = { ...place, source: admission.source, name }
    else {
      handshakes.leave(place.thread, NO_SOURCE)
      held.splice(at, 1)
    }
  }
  for (let at = 2; at + 2 <= input.length; at += 2) {
    const [what = 0, whom = 0] = input.subarray(at, at + 2)
    const address = ADDRESSES[whom % ADDRESSES.length]!
    const thread = (whom >> 3) % THREADS
    if (what % 8 < 3) admit(thread, address)
    else if (what % 8 === 3) admit(thread, null)
    else if (what % 8 === 4) learn(address)
    else if (what < 0xf8) {
      const [place] = held.splice(whom % Math.max(1, held.length), 1)
      if (place !== undefined) handshakes.leave(place.thread, place.source)
    } else {
      // Rare, since it goes through the whole table.
      handshakes.forgetThread(thread)
      held = held.filter((place) => place.thread !== thread)
    }
    assert.equal(handshakes.total, held.length)
  }
  for (const { thread, source } of held) handshakes.leave(thread, source)
  assert.equal(handshakes.total, 0)
}

export const handshakeLimits: Target = {
  name: 'handshakes',
  inputs: fc
    .tuple(fc.nat(15), fc.nat(7), bytes(0, 300))
    .map(([total, perAddress, steps]) => Buffer.concat([Buffer.of(total, perAddress), steps])),
  dictionary: [
    Buffer.of(0, 0),
    Buffer.of(0, 3, 0, 4),
    Buffer.of(3, 0, 4, 0),
    Buffer.of(7, 8),
    Buffer.of(5, 0),
  ],
  maxBytes: 800,
  limitMs: 200,
  open: () => stateless(replay),
}
