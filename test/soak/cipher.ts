/**
 * `node test/soak/cipher.ts`: 50,000 connections that come, exchange and go in every way there is, by native ciphers and by
 * node:crypto. When nobody is there, no stream may be in use and neither the resident set nor a heap may have grown: a
 * context of OpenSSL lies outside of everything that is collected. About three minutes each on two cores.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildClientHello } from '../support/client-hello.ts'
import { buildRecords, connectFakeTls, connectRaw, parseClientSecret } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { sumMetric } from '../support/process-state.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { WORKERS, type ProgramFile } from './config-file.ts'
import { patiently } from './patiently.ts'
import { startProgram, type Program } from './program.ts'

const CLIENTS = Number(process.env['SOAK_CLIENTS'] ?? 50_000)
const IN_FLIGHT = 48
const LOOKS = 10
/** As in soak.ts; a context that is left with each of the connections would be 30 MiB between the looks that are compared. */
const MAX_RSS_GROWTH_MIB = 24
const MAX_HEAP_GROWTH_MIB = 8
const MIB = 1024 * 1024
const SECRET = `ee${'07'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
/** Limits on unfinished handshakes are by address. */
const ADDRESSES = 200

type Act = (client: { readonly port: number; readonly localAddress: string }, bytes: number) => Promise<void>

const greet = (client: Parameters<Act>[0]): ReturnType<typeof connectFakeTls> =>
  connectFakeTls({ ...client, secret: SECRET, dc: 2 })

/** In the order of their weight; each one ends a session in another place of the program. */
const ACTS: Readonly<Record<string, { readonly weight: number; readonly act: Act }>> = {
  exchange: {
    weight: 6,
    async act(client, bytes) {
      const session = await greet(client)
      for (const sent of [randomBytes(bytes), randomBytes(1 + (bytes >> 6))]) {
        session.write(sent)
        assert.ok((await session.read(sent.length)).equals(sent))
      }
      session.destroy()
    },
  },
  'ends in order': {
    weight: 2,
    async act(client, bytes) {
      const session = await greet(client)
      const sent = randomBytes(bytes)
      session.write(sent)
      await session.read(sent.length)
      session.socket.end()
      await session.ended
      session.destroy()
    },
  },
  'resets before the data centre is there': {
    weight: 1,
    async act(client) {
      ;(await greet(client)).socket.resetAndDestroy()
    },
  },
  'resets in the midst': {
    weight: 1,
    async act(client, bytes) {
      const session = await greet(client)
      session.write(randomBytes(bytes + 50_000))
      await session.read(1)
      session.socket.resetAndDestroy()
    },
  },
  'sends no records': {
    weight: 1,
    async act(client) {
      const session = await greet(client)
      session.write(randomBytes(100))
      await session.read(100)
      session.socket.write('GET / HTTP/1.1\r\n\r\n')
      await session.ended
      session.destroy()
    },
  },
  'sends another frame': {
    weight: 1,
    async act(client) {
      const socket = await connectRaw(client)
      socket.on('error', () => {})
      const { key, host } = parseClientSecret(SECRET)
      socket.write(buildClientHello({ key, host }).bytes)
      await once(socket, 'data')
      socket.write(buildRecords(randomBytes(64), 64))
      socket.resume()
      await once(socket, 'end')
      socket.destroy()
    },
  },
}
const DRAWN: readonly Act[] = Object.values(ACTS).flatMap(({ weight, act }) => Array<Act>(weight).fill(act))

interface Look {
  readonly clients: number
  readonly rssMib: number
  readonly heapMib: number
  readonly mostStreams: number
}

async function soak(cipher: 'node' | 'native'): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-soak-'))
  const dc = await startStreamDc({ mode: 'echo' })
  const program = await startProgram(await createFile(folder, cipher, dc.port), NOTHING)
  try {
    const looks: Look[] = []
    for (let look = 0; look < LOOKS; look++) {
      looks.push(await serveSome(program, cipher, look))
      process.stderr.write(`${cipher}: ${JSON.stringify(looks.at(-1))}\n`)
    }
    const { code, stderr } = await program.stop()
    assert.deepEqual([code, stderr, program.complaints], [0, '', []])
    judge(cipher, looks)
  } finally {
    if (program.exitCode === null) await program.kill()
    await dc.close()
    rmSync(folder, { recursive: true })
  }
}

async function serveSome(program: Program, cipher: string, look: number): Promise<Look> {
  const streams = async (): Promise<number> =>
    sumMetric(await program.metrics(), 'mtg_cipher_streams', `cipher="${cipher}"`)
  const random = seededRandom(look)
  const { proxy: port } = program.ports
  let begun = 0
  let mostStreams = 0
  const walk = async (): Promise<void> => {
    while (begun < CLIENTS / LOOKS) {
      const localAddress = `127.0.1.${1 + (begun % ADDRESSES)}`
      begun += 1
      if (begun % 250 === 0) mostStreams = Math.max(mostStreams, await streams())
      const act = DRAWN[Math.floor(random() * DRAWN.length)]!
      await act({ port, localAddress }, 1 + Math.floor(random() ** 3 * 60_000))
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, walk))
  await patiently(
    'nobody',
    () => program.stats(),
    ({ total_connections: total }) => total === 0,
  )
  await patiently('no stream', streams, (count) => count === 0)
  const { heapBytes } = await program.measure()
  return {
    clients: (look + 1) * begun,
    rssMib: Math.round(program.rssBytes() / MIB),
    heapMib: Math.round(heapBytes.reduce((sum, bytes) => sum + bytes, 0) / MIB),
    mostStreams,
  }
}

/** The first third warms up: pools, compiled code, the allocator's own. */
function judge(cipher: string, looks: readonly Look[]): void {
  const first = looks[Math.floor(LOOKS / 3)]!
  const last = looks.at(-1)!
  assert.ok(Math.max(...looks.map((look) => look.mostStreams)) > 0, 'these ciphers were not even used')
  const [rss, heap] = [last.rssMib - first.rssMib, last.heapMib - first.heapMib]
  process.stdout.write(
    `${JSON.stringify({ soak: 'cipher', cipher, clients: last.clients, rssGrowthMib: rss, heapGrowthMib: heap, looks })}\n`,
  )
  assert.ok(rss < MAX_RSS_GROWTH_MIB && heap < MAX_HEAP_GROWTH_MIB, `${cipher}: it grows`)
}

const NOTHING = { users: {}, quotaMib: 0, throttleLimit: 0, blocked: [] }

async function createFile(folder: string, cipher: string, dcPort: number): Promise<ProgramFile> {
  const path = join(folder, 'config.toml')
  const ports = { proxy: await findFreePort(), api: await findFreePort(), metrics: await findFreePort() }
  const write = (): void =>
    writeFileSync(
      path,
      `
secret = "${SECRET}"
bind-to = "127.0.0.1:${ports.proxy}"
api-bind-to = "127.0.0.1:${ports.api}"
tolerate-time-skewness = "30s"
[defense.doppelganger]
learn-front = false
[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:${ports.metrics}"
[performance]
workers = ${WORKERS}
cipher = "${cipher}"
# Four streams a connection.
fast-mode = false
[dc]
2 = ["127.0.0.1:${dcPort}"]
`,
      { mode: 0o600 },
    )
  return { path, ports, write }
}

for (const cipher of ['native', 'node'] as const) await soak(cipher)
