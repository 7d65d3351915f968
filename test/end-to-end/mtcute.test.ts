import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test, type TestContext } from 'node:test'

import { Long } from '@mtcute/node'
import { downloadAsIterable, uploadFile } from '@mtcute/node/methods.js'

import type { DcTable } from '#shared/dc'
import { formatSecretHex, generateSecret, type Secret } from '#shared/secret'

import { stopExactly } from '../support/exactness.ts'
import { startRecordingSite } from '../support/front-site.ts'
import { createMtcuteClient, type MtcuteClient } from '../support/mtcute-client.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { startTlsSite } from '../support/tls-site.ts'
import { startTelegramDc, type TelegramDc } from '../support/telegram-dc.ts'
import { buildTestFileBytes } from '../support/telegram-dc/test-file.ts'
import { waitUntil } from './world.ts'

/** The proxy with a Telegram client that is not ours, talking to data centres that speak MTProto. */

const DC_IDS = [1, 2, 3, 4, 5]
/** Many parts of many records. What more of them would show, test/end-to-end/relay.test.ts shows without MTProto's ciphers. */
const DOWNLOAD_BYTES = 6 * 1024 * 1024
const UPLOAD_BYTES = 2 * 1024 * 1024
/** A power of two that divides both files; the largest that clients use for uploads. */
const PART_KIB = 512
/** A test takes 3 s on an idle machine, and took 21 s on one with eight others running. */
const TEST_LIMIT_MS = 60_000

const USERS = { alice: generateSecret('cdn.example.com'), bob: generateSecret('www.example.org') }
type UserName = keyof typeof USERS

/** Every data centre carries files for somebody, every mode carries files. */
const MODES: readonly { workers: 1 | 2; fastMode: boolean; transfers: Partial<Record<UserName, number>> }[] =
  [
    { workers: 1, fastMode: false, transfers: { alice: 2, bob: 5 } },
    { workers: 2, fastMode: true, transfers: { alice: 1, bob: 3 } },
    { workers: 2, fastMode: false, transfers: { alice: 4 } },
  ]

let dcs: TelegramDc[] = []

before(async () => {
  dcs = await Promise.all(DC_IDS.map((dcId) => startTelegramDc({ dcId })))
})

after(async () => {
  await Promise.all(dcs.map((dc) => dc.close()))
})

/** The header of the extension in a ServerHello: group X25519MLKEM768, a ciphertext and a point. */
const HYBRID_KEY_SHARE = Buffer.from('0033046411ec0460', 'hex')
/** Full pacing takes 7 s for what the others move at once. */
const PACED_DOWNLOAD_BYTES = 2 * 1024 * 1024

for (const pacing of ['full', 'off', 'burst'] as const) {
  test(
    `pacing "${pacing}", with DRS, behind a front that takes X25519MLKEM768: a file arrives as it was sent`,
    { timeout: TEST_LIMIT_MS },
    async (context) => {
      const site = await startTlsSite({ ecdhCurve: 'X25519MLKEM768:X25519' })
      context.after(() => site.close())
      const learning = { urls: [], repeatsPerRaid: 1, raidEachMs: 3_600_000, learnFront: true }
      const proxy = await startTestProxy({
        users: { alice: formatSecretHex(USERS.alice) },
        dcs: Object.fromEntries(dcs.map((dc) => [dc.dcId, [dc.address]])),
        fronting: { host: '127.0.0.1', port: site.port },
        config: { defense: { doppelganger: { ...learning, pacing, drs: true } } },
      })
      context.after(() => stopExactly(proxy))
      await waitUntil(() => proxy.logText().includes('updated server flights'), 'the front is known')

      const user = await connectClient(context, proxy, USERS.alice, { dcId: 2 })
      const bytes = await raceFaults(user, download(user, 2, PACED_DOWNLOAD_BYTES))
      await user.destroy()

      assert.deepEqual(bytes, buildTestFileBytes(2, 0, PACED_DOWNLOAD_BYTES))
      assert.deepEqual(user.errors, [])
      assertNoFaults()
      const flights = user.received.filter((bytes) => bytes.length > 0)
      assert.ok(flights.length > 0)
      for (const flight of flights) assert.ok(flight.includes(HYBRID_KEY_SHARE), 'a hybrid key share')
    },
  )
}

for (const { workers, fastMode, transfers } of MODES) {
  const mode = `${workers} ${workers === 1 ? 'worker' : 'workers'}, fast mode ${fastMode ? 'on' : 'off'}`
  test(
    `${mode}: both users reach every data centre, and files arrive as they were sent`,
    { timeout: TEST_LIMIT_MS },
    async (context) => {
      const proxy = await startProxy(workers, fastMode)
      context.after(() => stopExactly(proxy))
      const names = Object.keys(USERS) as UserName[] // the object above has no other keys

      await Promise.all(
        names.map(async (name) => {
          const transferDc = transfers[name]
          const user = await connectClient(context, proxy, USERS[name], { dcId: transferDc ?? 2 })
          await raceFaults(user, callEveryDc(user))
          if (transferDc !== undefined) await raceFaults(user, transferFiles(user, transferDc))
          await user.destroy()
          assert.deepEqual(user.errors, [])
        }),
      )

      assertNoFaults()
      const { users } = await proxy.statsWhen((stats) => stats.total_connections === 0)
      for (const name of names) {
        const { connections, bytes_in, bytes_out } = users[name]!
        assert.equal(connections, 0)
        // The ciphers, packets and records of MTProto add to it; nothing may be missing.
        assert.ok(bytes_in > (transfers[name] === undefined ? 0 : UPLOAD_BYTES), `${name}: ${bytes_in} in`)
        assert.ok(
          bytes_out > (transfers[name] === undefined ? 0 : DOWNLOAD_BYTES),
          `${name}: ${bytes_out} out`,
        )
      }
    },
  )
}

test(
  'media connections, with temporary keys of their own, reach the data centre signed as the client signed them',
  { timeout: TEST_LIMIT_MS },
  async (context) => {
    const proxy = await startProxy(1, true)
    context.after(() => stopExactly(proxy))
    const dc = findDc(2)
    const framesBefore = dc.frames.length
    const exchangesBefore = dc.keyExchanges.length

    const user = await connectClient(context, proxy, USERS.alice, { dcId: 2, usePfs: true })
    // With temporary keys the library forgets files that are asked for before its first key is there.
    await raceFaults(user, user.client.call({ _: 'help.getNearestDc' }))
    const bytes = await raceFaults(user, download(user, 2, 128 * 1024 + 1))
    await user.destroy()

    assert.deepEqual(bytes, buildTestFileBytes(2, 0, 128 * 1024 + 1))
    assert.deepEqual(user.errors, [])
    assertNoFaults()
    const frames = dc.frames.slice(framesBefore).map((frame) => frame.dc)
    assert.deepEqual(frames.toSorted(compareNumbers), [-2, 2])
    // The client names the data centre a second time inside the key exchange, where no proxy can reach it.
    assert.deepEqual(
      dc.keyExchanges.slice(exchangesBefore).toSorted((first, second) => first.dc - second.dc),
      [
        { dc: -2, temporary: true },
        { dc: 2, temporary: false },
        { dc: 2, temporary: true },
      ],
    )
  },
)

const WRONG_SECRETS: readonly [string, Secret][] = [
  ['a key that nobody has', { key: new Uint8Array(randomBytes(16)), host: USERS.alice.host }],
  ['a key of one user with the host of another', { key: USERS.alice.key, host: USERS.bob.host }],
]

for (const [what, secret] of WRONG_SECRETS) {
  test(
    `a client with ${what} fails, and the fronting site gets its very bytes`,
    { timeout: TEST_LIMIT_MS },
    async (context) => {
      const reply = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'
      const site = await startRecordingSite({ reply: Buffer.from(reply), endAfterReply: true })
      context.after(() => site.close())
      const proxy = await startProxy(1, true, site.port)
      context.after(() => stopExactly(proxy))
      const framesBefore = countFrames()

      const user = await connectClient(context, proxy, secret, { dcId: 2 })
      const error = await user.firstError
      await user.destroy()

      assert.match(error.message, /Server hello is invalid/)
      const fronted = await site.nextConnection()
      const hello = user.sent[0]!
      assert.deepEqual(await fronted.waitReceived(hello.length), hello)
      await fronted.waitClosed()
      assert.equal(fronted.received.length, hello.length, 'nothing but the hello')
      assert.deepEqual(hello.subarray(0, 3), Buffer.from('160301', 'hex'))
      assert.ok(hello.includes(buildServerName(secret.host)), 'the hello names the host of the secret')
      assert.equal(countFrames(), framesBefore, 'no data centre was bothered')
      const { users } = await proxy.stats()
      assert.deepEqual(
        Object.values(users).map(({ bytes_in, bytes_out }) => [bytes_in, bytes_out]),
        [
          [0, 0],
          [0, 0],
        ],
      )
    },
  )
}

function startProxy(workers: number, fastMode: boolean, frontingPort = 9): Promise<TestProxy> {
  const table: DcTable = Object.fromEntries(dcs.map((dc) => [dc.dcId, [dc.address]]))
  const users = { alice: formatSecretHex(USERS.alice), bob: formatSecretHex(USERS.bob) }
  const fronting = { host: '127.0.0.1', port: frontingPort }
  return startTestProxy({ users, dcs: table, workers, fastMode, fronting })
}

/** A client that is gone by the end of the test, whatever happens: one that reconnects would keep the process alive. */
async function connectClient(
  context: TestContext,
  proxy: TestProxy,
  secret: Secret,
  options: { dcId: number; usePfs?: boolean },
): Promise<MtcuteClient> {
  const user = await createMtcuteClient({
    ...options,
    proxy: { host: '127.0.0.1', port: proxy.port },
    secret: formatSecretHex(secret),
    publicKeyPem: findDc(options.dcId).publicKeyPem,
  })
  context.after(() => user.destroy())
  await user.client.connect()
  return user
}

/** What the work makes, unless the client or a data centre complains before: both would only try again for ever. */
async function raceFaults<T>(user: MtcuteClient, work: Promise<T>): Promise<T> {
  const faults = [user.firstError, ...dcs.map((dc) => dc.firstFault)]
  const fault = await Promise.race([work.then(() => null), ...faults])
  if (fault !== null) throw fault
  return work
}

async function callEveryDc({ client }: MtcuteClient): Promise<void> {
  const answers = await Promise.all(DC_IDS.map((dcId) => client.call({ _: 'help.getNearestDc' }, { dcId })))
  assert.deepEqual(
    answers.map((answer) => answer.thisDc),
    DC_IDS,
  )
}

async function transferFiles(user: MtcuteClient, dcId: number): Promise<void> {
  const sent = randomBytes(UPLOAD_BYTES)
  const [received, uploaded] = await Promise.all([
    download(user, dcId, DOWNLOAD_BYTES),
    uploadFile(user.client, { file: sent, fileMime: 'application/octet-stream', partSize: PART_KIB }),
  ])
  assert.ok(received.equals(buildTestFileBytes(dcId, 0, DOWNLOAD_BYTES)), 'the download differs')
  const { inputFile } = uploaded
  assert.ok(inputFile._ === 'inputFile')
  const fileId = BigInt(inputFile.id.toString())
  assert.ok(findDc(dcId).uploadedFile(fileId).equals(sent), 'the upload differs')
}

async function download({ client }: MtcuteClient, dcId: number, sizeBytes: number): Promise<Buffer> {
  const location = {
    _: 'inputDocumentFileLocation',
    id: Long.fromNumber(sizeBytes),
    accessHash: Long.ZERO,
    fileReference: new Uint8Array(),
    thumbSize: '',
  } as const
  const parts: Uint8Array[] = []
  for await (const part of downloadAsIterable(client, location, {
    dcId,
    fileSize: sizeBytes,
    partSize: PART_KIB,
  })) {
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function findDc(dcId: number): TelegramDc {
  const dc = dcs.find((candidate) => candidate.dcId === dcId)
  assert.ok(dc !== undefined)
  return dc
}

function assertNoFaults(): void {
  assert.deepEqual(
    dcs.flatMap((dc) => dc.faults),
    [],
  )
}

function countFrames(): number {
  return dcs.reduce((sum, dc) => sum + dc.frames.length, 0)
}

function compareNumbers(first: number, second: number): number {
  return first - second
}

/** The server_name extension with one DNS name (RFC 6066 §3). */
function buildServerName(host: string): Buffer {
  const header = Buffer.alloc(9)
  header.writeUInt16BE(host.length + 5, 2)
  header.writeUInt16BE(host.length + 3, 4)
  header.writeUInt16BE(host.length, 7)
  return Buffer.concat([header, Buffer.from(host, 'latin1')])
}
