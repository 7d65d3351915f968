/**
 * What does AES-256-CTR cost, by node:crypto and by its OpenSSL called directly: one pass in place, from the shortest
 * message to the largest read, and decrypt · encrypt · frame of a read of 256 KiB as the relay does it. `update alone` is
 * node:crypto with its results left to the collector, whose other threads are not even in the figure.
 * Run: node bench/micro/ctr-streams.ts [--json]
 */
import { createCipheriv } from 'node:crypto'
import { framedBytes, frameRecords } from '#worker/fake-tls/record'
import type { Ciphers, CtrKey } from '#worker/obfuscated2/ctr-stream'
import { loadNativeCiphers } from '#worker/obfuscated2/load-native-ciphers'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { recrypt } from '#worker/relay/recrypt'
import { measureCases, repeat, type Case, type Figure } from '../support/micro.ts'
import { GIB } from '../support/scenario.ts'

const KEY: CtrKey = { key: Buffer.alloc(32, 1), iv: Buffer.alloc(16, 2) }
const SIZES = [64, 200, 1024, 2878, 4096, 16_384, 65_536, 262_144] as const
const READ_BYTES = 256 * 1024
/** Enough for a look at the clock. */
const BYTES_PER_BATCH = 2 * 1024 * 1024
const MAX_CALLS_PER_BATCH = 1000

interface Sized {
  readonly bytes: number
  readonly measured: Case
}

function sized(name: string, bytes: number, call: () => void): Sized {
  const calls = Math.min(MAX_CALLS_PER_BATCH, Math.ceil(BYTES_PER_BATCH / bytes))
  return { bytes, measured: repeat(`${name}, ${bytes} bytes`, calls, call) }
}

function updateAlone(bytes: number): Sized {
  const cipher = createCipheriv('aes-256-ctr', KEY.key, KEY.iv)
  const data = Buffer.alloc(bytes)
  return sized('update alone', bytes, () => void cipher.update(data))
}

function inPlace(ciphers: Ciphers, bytes: number): Sized {
  const stream = ciphers.open(KEY)
  const data = Buffer.alloc(bytes)
  return sized(ciphers.name, bytes, () => stream.transform(data, data, 0))
}

function relayed(ciphers: Ciphers): Sized {
  const streams = { from: ciphers.open(KEY), to: ciphers.open(KEY) }
  const data = Buffer.alloc(READ_BYTES)
  const slot = Buffer.alloc(framedBytes(READ_BYTES))
  return sized(`${ciphers.name}: both and records`, READ_BYTES, () => {
    recrypt(streams, data, data)
    frameRecords(slot, data)
  })
}

function opened(ciphers: Ciphers): Case {
  return repeat(`${ciphers.name}: open and close`, MAX_CALLS_PER_BATCH, () => ciphers.open(KEY).close())
}

const all: readonly Ciphers[] = [new NodeCiphers(), await loadNativeCiphers()]
const cases: Sized[] = [
  ...SIZES.flatMap((bytes) => [updateAlone(bytes), ...all.map((ciphers) => inPlace(ciphers, bytes))]),
  ...all.map(relayed),
]
const figures = await measureCases([...cases.map(({ measured }) => measured), ...all.map(opened)])

if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'ctr-streams', figures }))
else for (const [at, figure] of figures.entries()) console.log(describe(figure, cases[at]?.bytes))

function describe({ name, nsPerCall }: Figure, bytes: number | undefined): string {
  const perGib =
    bytes === undefined ? '' : `${((nsPerCall * GIB) / bytes / 1e9).toFixed(3).padStart(8)} s/GiB`
  return `${name.padEnd(40)} ${(nsPerCall / 1000).toFixed(2).padStart(8)} µs${perGib}`
}
