import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PNG } from 'pngjs'

import { buildQrDataUrl, buildQrSvg } from '#primary/access/qr-svg'
import { type AccessOptions, runAccess } from '#primary/commands/access'
import { UsageError } from '#primary/exit'
import { OperatorError } from '#shared/errors'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = 20_000
const KEY = '000102030405060708090a0b0c0d0e0f'
const HEX = `ee${KEY}6578616d706c652e636f6d`
const BASE64 = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'
const ONE_USER = `secret = "${HEX}"\nbind-to = "0.0.0.0:3128"\n`
const BOTH_IPS = 'public-ipv4 = "203.0.113.1"\npublic-ipv6 = "2001:db8::1"\n'
const SECOND = `ee${'11'.repeat(16)}612e74657374`
const SEVERAL = `bind-to = "0.0.0.0:3128"\n[secrets]\nbert = "${SECOND}"\nanna = "${HEX}"\n`
/** Nobody listens on the port of the discard service here: detection ends at once. */
const NOWHERE = 'http://127.0.0.1:1'

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

async function access(
  t: TestContext,
  config: string,
  options: Partial<AccessOptions> = {},
  surroundings: { publicIpUrl?: string; columns?: number; directory?: string } = {},
): Promise<Outcome> {
  const directory = surroundings.directory ?? makeDirectory(t)
  const configPath = join(makeDirectory(t, { 'config.toml': config }), 'config.toml')
  const outcome: Outcome = { code: -1, stdout: '', stderr: '' }
  const { columns } = surroundings
  outcome.code = await runAccess(
    {
      configPath,
      hex: false,
      ...options,
      ...(options.qr === undefined ? {} : { qr: join(directory, options.qr) }),
    },
    {
      stdout: { write: (text) => (outcome.stdout += text) },
      stderr: {
        write: (text) => (outcome.stderr += text),
        ...(columns === undefined ? {} : { isTTY: true, columns }),
      },
      publicIpUrl: surroundings.publicIpUrl ?? NOWHERE,
    },
  )
  return outcome
}

async function startService(t: TestContext, answer: string): Promise<string> {
  const server = createServer((_, response) => response.end(answer)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}` // listening on TCP
}

const query = (server: string, secret = BASE64, port = 3128): string =>
  `proxy?port=${port}&secret=${secret}&server=${server}`

/** A link of the first user, as the reference lays it out. */
function writeLink(server: string, ip: string): string {
  const [tg, tme] = [`tg://${query(server)}`, `https://t.me/${query(server)}`]
  return `{
    "ip": "${ip}",
    "port": 3128,
    "tg_url": "${tg}",
    "tg_qrcode": "${buildQrDataUrl(tg)}",
    "tme_url": "${tme}",
    "tme_qrcode": "${buildQrDataUrl(tme)}"
  }`
}

/** The same below `users`: three levels deeper, without images. */
function dropImages(link: string): string {
  return link
    .replace(/^ *"tg_qrcode".*\n/gm, '')
    .replace(/,\n *"tme_qrcode".*/, '')
    .replaceAll('\n', '\n      ')
}

test(
  'one user: the keys of the reference in their order, then ours, and nothing on stderr',
  { timeout },
  async (t) => {
    const v4 = writeLink('203.0.113.1', '203.0.113.1')
    const v6 = writeLink('2001%3Adb8%3A%3A1', '2001:db8::1')
    assert.deepEqual(await access(t, ONE_USER + BOTH_IPS), {
      code: 0,
      stderr: '',
      stdout: `{
  "ipv4": ${v4},
  "ipv6": ${v6},
  "secret": {
    "hex": "${HEX}",
    "base64": "${BASE64}"
  },
  "users": {
    "default": [
      {
        "host": "example.com",
        "ipv4": ${dropImages(v4)},
        "ipv6": ${dropImages(v6)},
        "secret": {
          "hex": "${HEX}",
          "base64": "${BASE64}"
        }
      }
    ]
  }
}
`,
    })
  },
)

test(
  'several users: the first by name for the keys of the reference, all with links',
  { timeout },
  async (t) => {
    const config = `public-ipv4 = "203.0.113.1"\n${SEVERAL}10 = "ee${'22'.repeat(16)}622e74657374"\n`
    const { stdout } = await access(t, config, { hex: true, port: 443 })
    const parsed = JSON.parse(stdout) as Record<string, never>
    assert.deepEqual(Object.keys(parsed), ['ipv4', 'secret', 'secrets', 'users'])
    assert.deepEqual(
      [...stdout.matchAll(/^ {4}"(\w+)": \[$/gm)].map((match) => match[1]),
      ['10', 'anna', 'bert'],
    )
    assert.deepEqual(Object.keys(parsed['secrets'] ?? {}), ['10', 'anna', 'bert'])
    const links = [...stdout.matchAll(/"tg_url": "(.*)"/g)].map((match) => match[1])
    const first = `tg://${query('203.0.113.1', `ee${'22'.repeat(16)}622e74657374`, 443)}`
    assert.deepEqual(links, [
      first,
      first,
      `tg://${query('203.0.113.1', HEX, 443)}`,
      `tg://${query('203.0.113.1', SECOND, 443)}`,
    ])
  },
)

test(
  '--user leaves the others out, and an unknown name is answered with the known ones',
  { timeout },
  async (t) => {
    const { stdout } = await access(t, SEVERAL, { user: 'bert', ipv4: '203.0.113.1' })
    const parsed = JSON.parse(stdout) as { secret: { hex: string }; users: object }
    assert.equal(parsed.secret.hex, SECOND)
    assert.deepEqual(Object.keys(parsed.users), ['bert'])
    assert.ok(!stdout.includes(KEY))
    await assert.rejects(
      access(t, SEVERAL, { user: 'ana' }),
      (error) =>
        error instanceof OperatorError &&
        error.message === 'no user "ana", did you mean "anna"?\nthe users are: anna, bert',
    )
  },
)

test('a user with two hosts has two links', { timeout }, async (t) => {
  const config = `bind-to = "0.0.0.0:3128"\n[secrets]\nanna = ["${HEX}", "${SECOND}"]\n`
  const { stdout } = await access(t, config, { ipv4: '203.0.113.1' })
  const { users } = JSON.parse(stdout) as { users: Record<string, { host: string }[]> }
  assert.deepEqual(
    users['anna']?.map((link) => link.host),
    ['example.com', 'a.test'],
  )
})

test(
  'an address comes from the flag, else the config, else detection, each family on its own',
  { timeout },
  async (t) => {
    const publicIpUrl = await startService(t, '198.51.100.9\n')
    const ipsOf = async (config: string, options: Partial<AccessOptions>): Promise<unknown[]> => {
      const { stdout } = await access(t, config, options, { publicIpUrl })
      const { ipv4, ipv6 } = JSON.parse(stdout) as Record<'ipv4' | 'ipv6', { ip: string } | undefined>
      return [ipv4?.ip, ipv6?.ip]
    }
    assert.deepEqual(await ipsOf(ONE_USER, {}), ['198.51.100.9', undefined])
    assert.deepEqual(await ipsOf(ONE_USER, { ipv6: '2001:db8::5' }), ['198.51.100.9', '2001:db8::5'])
    assert.deepEqual(await ipsOf(ONE_USER + BOTH_IPS, { ipv4: '192.0.2.5' }), ['192.0.2.5', '2001:db8::1'])
  },
)

test('without any address there are secrets, a remark on stderr, and exit code 0', { timeout }, async (t) => {
  const { code, stdout, stderr } = await access(t, ONE_USER)
  assert.equal(code, 0)
  assert.deepEqual(Object.keys(JSON.parse(stdout) as object), ['secret', 'users'])
  assert.match(stderr, /^no links: the public address is unknown\..*\n$/)
})

test(
  'a terminal shows the code of the only user on stderr, and of several asks whose',
  { timeout },
  async (t) => {
    const seen = await access(t, ONE_USER + BOTH_IPS, {}, { columns: 100 })
    assert.match(seen.stderr, /[▀▄█]/)
    assert.doesNotThrow(() => JSON.parse(seen.stdout) as unknown)
    const narrow = await access(t, ONE_USER + BOTH_IPS, {}, { columns: 20 })
    assert.equal(narrow.stderr, '')
    const several = await access(t, SEVERAL, { ipv4: '203.0.113.1' }, { columns: 100 })
    assert.equal(several.stderr, 'for a QR code say whose: --user NAME\n')
  },
)

test('--qr writes the link of the user as an image that only its owner reads', { timeout }, async (t) => {
  const directory = makeDirectory(t)
  const options = { ipv4: '203.0.113.1', user: 'anna' }
  await access(t, SEVERAL, { ...options, qr: 'a.svg' }, { directory })
  const link = `tg://${query('203.0.113.1')}`
  assert.equal(readFileSync(join(directory, 'a.svg'), 'utf8'), buildQrSvg(link))
  assert.equal(statSync(join(directory, 'a.svg')).mode & 0o777, 0o600)
  await access(t, SEVERAL, { ...options, qr: 'a.PNG' }, { directory })
  assert.ok(PNG.sync.read(readFileSync(join(directory, 'a.PNG'))).width > 100)
})

test('what cannot be drawn or written is an error that says why', { timeout }, async (t) => {
  const rejects = async (
    config: string,
    options: Partial<AccessOptions>,
    kind: typeof UsageError | typeof OperatorError,
    message: RegExp,
  ): Promise<void> => {
    await assert.rejects(
      access(t, config, options),
      (error) => error instanceof kind && message.test(error.message),
    )
  }
  const ipv4 = '203.0.113.1'
  await rejects(SEVERAL, { ipv4, qr: 'a.svg' }, UsageError, /say which with --user/)
  await rejects(ONE_USER, { ipv4, qr: 'a.jpeg' }, UsageError, /must end in \.svg or \.png/)
  await rejects(ONE_USER, { qr: 'a.svg' }, OperatorError, /no QR code without an address/)
  await rejects(ONE_USER, { ipv4, qr: 'missing/a.svg' }, OperatorError, /cannot write .*a\.svg: ENOENT/)
  await rejects(ONE_USER, { ipv4: '2001:db8::1' }, UsageError, /--ipv4: 2001:db8::1 is not an IPv4 address/)
  await rejects(ONE_USER, { ipv6: '1.2.3.4' }, UsageError, /--ipv6: 1\.2\.3\.4 is not an IPv6 address/)
  for (const port of [0, 65_536, 1.5, Number.NaN])
    await rejects(ONE_USER, { port }, UsageError, /--port: expected a number from 1 to 65535/)
})
