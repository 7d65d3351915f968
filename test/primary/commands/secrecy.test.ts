import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { buildClientHello } from '../../support/client-hello.ts'
import { connectFakeTls, connectRaw, type FakeTlsClient, FakeTlsError } from '../../support/faketls-client.ts'
import { startStreamDc } from '../../support/stream-dc.ts'
import { startFakeSocks } from '../doctor/fake-socks.ts'
import { Program, startProgram } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = 60_000
const HOST = 'secrecy.example'

/** Sixteen bytes that nothing else prints by chance, the same in each run. */
const makeKey = (name: string): Buffer =>
  createHash('sha256').update(`secrecy ${name}`).digest().subarray(0, 16)
const secretOf = (key: Buffer): Buffer => Buffer.concat([Buffer.of(0xee), key, Buffer.from(HOST)])

const KEYS = Object.fromEntries(
  ['text', 'upper', 'list', 'table', 'env', 'file', 'late', 'bad', 'foreign'].map((name) => [
    name,
    makeKey(name),
  ]),
) as Record<'text' | 'upper' | 'list' | 'table' | 'env' | 'file' | 'late' | 'bad' | 'foreign', Buffer> // the names above
const TOKEN = 'qT7-token-of-the-api-Zr4'
const PASSWORD = 'pw-Kx8of-the-socks-serverJ2'
const hex = (key: Buffer): string => secretOf(key).toString('hex')
const base64url = (key: Buffer): string => secretOf(key).toString('base64url')

/** The texts of the key at the three places it can have in a run of base64, without what its neighbours decide. */
function encodeBase64(bytes: Buffer): string[] {
  const parts = [bytes, bytes.subarray(2), bytes.subarray(1)]
  return parts.map((part) => part.subarray(0, part.length - (part.length % 3)).toString('base64'))
}

/**
 * How these bytes look in what a program writes, each byte of it one character: raw, UTF-8, escaped by JSON, as Buffer
 * and array print, hex, base64, base64url. A whole secret holds its key in the same letters.
 */
function writeForms(bytes: Buffer): string[] {
  const raw = bytes.toString('latin1')
  const hexText = bytes.toString('hex')
  const pairs = hexText.match(/../g) ?? []
  const numbers = [...bytes]
  const base64 = encodeBase64(bytes)
  const forms = [
    raw,
    Buffer.from(raw, 'utf8').toString('latin1'),
    Buffer.from(JSON.stringify(raw).slice(1, -1), 'utf8').toString('latin1'),
    Buffer.from(JSON.stringify(bytes.toString('utf8')).slice(1, -1), 'utf8').toString('latin1'),
    // Half of a key is a leak as well.
    hexText.slice(0, 16),
    hexText.slice(-16),
    hexText.slice(0, 16).toUpperCase(),
    hexText.slice(-16).toUpperCase(),
    pairs.slice(0, 8).join(' '),
    pairs.slice(0, 8).join(':'),
    numbers.slice(0, 8).join(','),
    numbers.slice(0, 8).join(', '),
    numbers
      .slice(0, 8)
      .map((byte, index) => `"${index}":${byte}`)
      .join(','),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
  return [...new Set(forms)]
}

const NEEDLES = Object.entries({
  ...KEYS,
  token: Buffer.from(TOKEN),
  password: Buffer.from(PASSWORD),
}).flatMap(([name, bytes]) => writeForms(bytes).map((form) => ({ name, form })))

/** @param outputs by what they are, each byte one character */
function assertHoldsNoSecret(outputs: Readonly<Record<string, string>>): void {
  for (const [what, text] of Object.entries(outputs)) {
    for (const { name, form } of NEEDLES) {
      const at = text.indexOf(form)
      assert.equal(
        at,
        -1,
        `${what} shows the secret "${name}" as ${form}: ${text.slice(Math.max(0, at - 200), at + 200)}`,
      )
    }
  }
}

/** A program whose outputs are kept byte by byte. */
function startRaw(t: TestContext, args: readonly string[], cwd: string): Program {
  const program = startProgram(t, args, { cwd })
  // Before the first byte: UTF-8 would replace what it cannot read, and a raw key is such.
  program.child.stdout?.setEncoding('latin1')
  program.child.stderr?.setEncoding('latin1')
  return program
}

/** Everything a peer gets for these bytes, until the proxy closes. */
async function exchange(port: number, bytes: Buffer | string): Promise<string> {
  const socket = await connectRaw({ port })
  let answer = ''
  socket.on('error', () => {}) // an end by RST is an end
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
  socket.on('end', () => socket.end())
  socket.write(bytes)
  await once(socket, 'close')
  return answer
}

const get = (port: number, path: string, header = ''): Promise<string> =>
  exchange(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${header}\r\n`)

/** A thread that died is replaced; until then connections fail. */
async function connectOnceServed(port: number, secret: string): Promise<FakeTlsClient> {
  for (;;) {
    try {
      return await connectFakeTls({ port, secret, dc: 2 })
    } catch (error) {
      if (!(error instanceof FakeTlsError)) throw error
    }
  }
}

async function reload(program: Program, path: string, text: string, expected: string): Promise<void> {
  const seen = program.stdout.length
  writeFileSync(path, text)
  program.child.kill('SIGHUP')
  while (!program.stdout.slice(seen).includes(expected))
    await once(program.child.stdout ?? program.child, 'data')
}

/** Mistakes that operators make with a secret, a token or a password in the value. */
const WRONG_VALUES = [
  `"${hex(KEYS.bad)}" = 5`,
  `concurrency = "${hex(KEYS.bad)}"`,
  `concurency = "${hex(KEYS.bad)}"`,
  `public-ipv4 = "${base64url(KEYS.bad)}"`,
  `api-bind-to = "${TOKEN}"`,
  `api-token = "${TOKEN} ${TOKEN}"`,
  `domain-fronting.host = "https://${base64url(KEYS.bad)}@x"`,
  `network.dns = "https://user:${PASSWORD}@1.1.1.1:99999/dns-query"`,
  `network.proxies = ["user:${PASSWORD}@10.0.0.1:1080", "http://user:${PASSWORD}@127.0.0.1", "socks5://user:${PASSWORD}@127.0.0.1:99999"]`,
  `[dc]\n2 = "${hex(KEYS.bad)}"`,
]
const WRONG_SECRETS = `
[secrets]
"${hex(KEYS.bad)}" = "anna"
another-tag = "dd${hex(KEYS.bad).slice(2)}"
cut-off = "${hex(KEYS.bad).slice(0, 30)}"
no-host = "${hex(KEYS.bad).slice(0, 34)}"
broken-hex = "${hex(KEYS.bad)}z"
broken-host = "${hex(KEYS.bad)}2f2f"
padded = "${secretOf(KEYS.bad).toString('base64')}="
spaced = " ${base64url(KEYS.bad)}"
linked = "tg://proxy?server=127.0.0.1&port=443&secret=${base64url(KEYS.bad)}"
twice = ["${hex(KEYS.late)}", "${base64url(KEYS.late)}"]
of-others = "${hex(KEYS.late)}"
misspelt = { secrte = "${hex(KEYS.bad)}" }
variable = "env:${hex(KEYS.bad)}"
in-variable = "env:SECRECY_BAD"
as-path = "file:${base64url(KEYS.bad)}"
in-file = "file:bad.txt"
`
const FILES = { 'good.txt': `${base64url(KEYS.file)}\n`, 'bad.txt': `${hex(KEYS.bad)}z` }

function setVariables(t: TestContext): void {
  const variables = { SECRECY_USER: hex(KEYS.env), SECRECY_BAD: `x${hex(KEYS.bad)}`, SECRECY_TOKEN: TOKEN }
  Object.assign(process.env, variables)
  t.after(() => Object.keys(variables).forEach((name) => delete process.env[name]))
}

test(
  'a whole run with debug = true shows no key, token or password, in no encoding',
  { timeout },
  async (t) => {
    setVariables(t)
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const socks = await startFakeSocks(t, 'user', PASSWORD)
    const [port, apiPort, metricsPort, deadPort] = [
      await findFreePort(),
      await findFreePort(),
      await findFreePort(),
      await findFreePort(),
    ]
    const globals = `debug = true
bind-to = "127.0.0.1:${port}"
api-bind-to = "127.0.0.1:${apiPort}"
api-token = "env:SECRECY_TOKEN"
concurency = 5
domain-fronting = { host = "127.0.0.1", port = ${deadPort} }
network.dns = "https://127.0.0.1:${deadPort}/dns-query?key=${TOKEN}"
network.proxies = ["socks5://user:${PASSWORD}@127.0.0.1:${socks.port}"]
defense.blocklist = { enabled = true, urls = [
  "http://user:${PASSWORD}@127.0.0.1:${deadPort}/list?token=${TOKEN}",
  "http://127.0.0.1:${apiPort}/none?token=${TOKEN}#${TOKEN}",
] }
defense.doppelganger = { learn-front = false, urls = ["https://user:${PASSWORD}@127.0.0.1:${deadPort}/?key=${TOKEN}"] }
stats.prometheus = { enabled = true, bind-to = "127.0.0.1:${metricsPort}" }
dc = { 2 = ["127.0.0.1:${dc.port}"], 3 = ["127.0.0.1:${deadPort}"] }
performance.workers = 2
`
    const users = `[secrets]
text = "${hex(KEYS.text)}"
upper = "${hex(KEYS.upper).toUpperCase()}"
list = ["${base64url(KEYS.list)}"]
table = { secret = "${base64url(KEYS.table)}" }
env = "env:SECRECY_USER"
file = "file:good.txt"
`
    const cwd = makeDirectory(t, { 'config.toml': globals + users, ...FILES })
    const path = join(cwd, 'config.toml')
    const program = startRaw(t, ['run', 'config.toml'], cwd)
    await program.waitFor('"listening"')

    for (const user of ['text', 'upper', 'list', 'table', 'env', 'file'] as const) {
      const client = await connectFakeTls({ port, secret: hex(KEYS[user]), dc: 2 })
      client.write(Buffer.from('hello'))
      assert.equal(String(await client.read(5)), 'hello')
      client.destroy()
    }
    await assert.rejects(connectFakeTls({ port, secret: hex(KEYS.foreign), dc: 2 }))
    await assert.rejects(connectFakeTls({ port, secret: hex(KEYS.text), dc: 2, unixTime: 1_000_000_000 }))
    await assert.rejects(connectFakeTls({ port, secret: hex(KEYS.text), dc: 2, sni: 'other.example' }))
    await assert.rejects(connectFakeTls({ port, secret: hex(KEYS.text), dc: 2, corrupt: 'extensions' }))
    const hello = buildClientHello({ key: KEYS.text, host: HOST })
    ;(await connectFakeTls({ port, secret: hex(KEYS.text), dc: 2, hello })).destroy()
    await assert.rejects(connectFakeTls({ port, secret: hex(KEYS.text), dc: 2, hello }))
    const orphan = await connectFakeTls({
      port,
      secret: hex(KEYS.table),
      dc: 3,
      firstPayload: Buffer.alloc(40),
    })
    await orphan.ended.catch(() => {}) // by FIN or by RST
    orphan.destroy()
    const answers: Record<string, string> = { garbage: await exchange(port, 'GET / HTTP/1.1\r\n\r\n') }

    await reload(
      program,
      path,
      `${globals + users}late = "${hex(KEYS.late)}"\n`,
      'configuration has been reloaded',
    )
    ;(await connectFakeTls({ port, secret: hex(KEYS.late), dc: 2 })).destroy()
    const changed = globals.replace(PASSWORD, `${PASSWORD}2`).replace('env:SECRECY_TOKEN', `${TOKEN}2`)
    await reload(program, path, changed + users, 'configuration has been reloaded')
    const refused = 'configuration is not reloaded'
    await reload(program, path, globals + WRONG_SECRETS, refused)
    for (const line of WRONG_VALUES) await reload(program, path, `${line}\n`, refused)
    await reload(program, path, `secret = ${hex(KEYS.bad)}\napi-token = "${TOKEN}`, refused)

    const bearer = `Authorization: Bearer ${TOKEN}\r\n`
    answers['stats'] = await get(apiPort, '/stats', bearer)
    answers['stats without token'] = await get(apiPort, '/stats')
    answers['metrics'] = await get(metricsPort, '/')
    for (const name of [apiPort, metricsPort]) answers[`404 of ${name}`] = await get(name, '/none', bearer)
    const pid = program.child.pid ?? 0
    const tasks = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/comm`)
    const seen = [`/proc/${pid}/cmdline`, ...tasks].map((file) => readFileSync(file, 'latin1')).join('\n')
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)

    // What was driven did happen, and is told.
    for (const text of [
      '"table"',
      'digest',
      'stale-time',
      'replay',
      'sni-unknown',
      'cannot dial to telegram',
      'in-variable',
    ])
      assert.ok(program.stdout.includes(text), `${text}: ${program.stdout}`)
    assert.match(answers['stats'], /^HTTP\/1\.1 200 [^]*"table"/)
    assert.match(answers['metrics'], /^HTTP\/1\.1 200 [^]*mtg_/)
    assert.ok(seen.includes('config.toml'))
    assertHoldsNoSecret({ stdout: program.stdout, stderr: program.stderr, processes: seen, ...answers })
  },
)

test('what is said about a configuration, good or wrong, shows no secret of it', { timeout }, async (t) => {
  setVariables(t)
  const good = `bind-to = "127.0.0.1:1"
api-token = "${TOKEN}"
network.proxies = ["socks5://user:${PASSWORD}@127.0.0.1?open_threshold=${PASSWORD}"]
network.dns = "https://127.0.0.1/dns-query?key=${TOKEN}"
defense.blocklist.urls = ["https://user:${PASSWORD}@127.0.0.1/list?token=${TOKEN}#${TOKEN}"]
defense.doppelganger.urls = ["https://user:${PASSWORD}@127.0.0.1/?key=${TOKEN}#${TOKEN}"]
[secrets]
text = "${hex(KEYS.text)}"
list = ["${base64url(KEYS.list)}", "env:SECRECY_USER"]
table = { secret = "file:good.txt", secrte = "${hex(KEYS.bad)}" }
`
  const wrong = `bind-to = "127.0.0.1:1"\n${WRONG_VALUES.join('\n')}\n${WRONG_SECRETS}`
  const torn = `secret = ${hex(KEYS.bad)}\napi-token = "${TOKEN}\n`
  const cwd = makeDirectory(t, { 'good.toml': good, 'wrong.toml': wrong, 'torn.toml': torn, ...FILES })
  for (const [file, code] of [
    ['good.toml', 0],
    ['wrong.toml', 1],
    ['torn.toml', 1],
  ] as const) {
    const commands = [
      ['config', 'check', file],
      ['config', 'check', '--json', file],
      // A good file would be served.
      ...(code === 0 ? [] : [['run', file]]),
    ]
    for (const args of commands) {
      const program = startRaw(t, args, cwd)
      assert.equal(await program.exit(), code, `${args.join(' ')}: ${program.stdout}${program.stderr}`)
      const said = program.stdout + program.stderr
      // The file was read and judged, line by line.
      const expected = {
        'good.toml': 'open_threshold',
        'wrong.toml': 'broken-host',
        'torn.toml': 'torn.toml',
      }
      assert.ok(said.includes(expected[file]), said)
      assertHoldsNoSecret({ [args.join(' ')]: said })
    }
  }
})

test('what the threads held is not in what is told of their deaths', { timeout }, async (t) => {
  setVariables(t)
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const port = await findFreePort()
  const text = `debug = true
bind-to = "127.0.0.1:${port}"
api-token = "${TOKEN}"
network.proxies = ["socks5://user:${PASSWORD}@127.0.0.1:1", ""]
performance.workers = 1
dc = { 2 = ["127.0.0.1:${dc.port}"] }
[secrets]
text = "${hex(KEYS.text)}"
env = "env:SECRECY_USER"
`
  const cwd = makeDirectory(t, { 'config.toml': text })
  const main = fileURLToPath(new URL('faulty-program.ts', import.meta.url))
  const child = spawn(process.execPath, [main, 'config.toml'], { cwd })
  t.after(() => child.kill('SIGKILL'))
  const program = new Program(child)
  child.stdout.setEncoding('latin1')
  child.stderr.setEncoding('latin1')
  await program.waitFor('"listening"')
  for (const [at, fault] of ['throw', 'reject', 'exit', 'out-of-memory'].entries()) {
    // A connection of each user is open when its thread dies.
    for (const user of ['text', 'env'] as const) {
      const client = await connectOnceServed(port, hex(KEYS[user]))
      client.ended.catch(() => {})
      t.after(() => client.destroy())
    }
    child.stdin.write(`${fault} 0\n`)
    while (program.stdout.split('worker thread died').length < at + 2) await once(child.stdout, 'data')
  }
  child.stdin.end()
  assert.equal(await program.exit(), 0)
  for (const reason of ['injected throw', 'injected rejection'])
    assert.ok(program.stdout.includes(reason), program.stdout)
  assertHoldsNoSecret({ stdout: program.stdout, stderr: program.stderr })
})

test('simple-run takes its secrets out of the list of processes', { timeout }, async (t) => {
  const address = `127.0.0.1:${await findFreePort()}`
  const flags = ['--debug', '--socks5-proxy', `socks5://user:${PASSWORD}@127.0.0.1:1`]
  const program = startRaw(t, ['simple-run', ...flags, address, hex(KEYS.text)], makeDirectory(t))
  await program.waitFor('"listening"')
  const pid = program.child.pid ?? 0
  const files = [
    `/proc/${pid}/cmdline`,
    `/proc/${pid}/comm`,
    ...readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/comm`),
  ]
  const seen = files.map((file) => readFileSync(file, 'latin1')).join('\n')
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0)
  assert.ok(seen.startsWith(`mtg-multi simple-run ${address}`), seen)
  assertHoldsNoSecret({ processes: seen, stdout: program.stdout, stderr: program.stderr })
})
