import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'node:test'

import { findLocalIpv4, formatLinks } from '#primary/commands/links'
import { readConfig } from '#primary/config/read'
import { buildTgLink } from '#primary/proxy-link'
import { drawQrCode } from '#primary/qr-code'
import type { ProxyConfig } from '#shared/config'
import { parseSecret } from '#shared/secret'

const TEXT = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'
const ANY = { host: '0.0.0.0', port: 3128 }
const WHITE = '\u001b[30;107m'

function read(lines: string): ProxyConfig {
  return readConfig(`bind-to = "0.0.0.0:3128"\n${lines}`, { fileName: 'config.toml' }).config
}

/** The dark modules of a drawn code, row by row. */
function readModules(drawn: string): boolean[][] {
  const rows: boolean[][] = []
  for (const line of drawn.split('\n')) {
    const blocks = Array.from(line.replace(WHITE, '').replace('\u001b[0m', ''))
    rows.push(
      blocks.map((block) => '▀█'.includes(block)),
      blocks.map((block) => '▄█'.includes(block)),
    )
  }
  return rows
}

test('a link has the keys in the order of the reference, and survives IPv6', () => {
  const parsed = parseSecret(TEXT)
  assert.ok(parsed.ok)
  const { secret } = parsed
  assert.equal(
    buildTgLink({ server: '203.0.113.1', port: 443, secret }),
    `tg://proxy?port=443&secret=${TEXT}&server=203.0.113.1`,
  )
  assert.equal(
    buildTgLink({ server: '2001:db8::1', port: 443, secret }),
    `tg://proxy?port=443&secret=${TEXT}&server=2001%3Adb8%3A%3A1`,
  )
})

test('the public address is used when the config has one, without a hint', () => {
  const options = { listening: ANY, columns: null, localIpv4: '192.168.1.5' }
  const link = (server: string): string => `default: tg://proxy?port=3128&secret=${TEXT}&server=${server}\n`
  assert.equal(
    formatLinks(read(`secret = "${TEXT}"\npublic-ipv4 = "203.0.113.1"\npublic-ipv6 = "::1"`), options),
    link('203.0.113.1'),
  )
  assert.equal(
    formatLinks(read(`secret = "${TEXT}"\npublic-ipv6 = "2001:db8::1"`), options),
    link('2001%3Adb8%3A%3A1'),
  )
})

test('without a public address the link has one of this machine, and says so', () => {
  const config = read(`secret = "${TEXT}"`)
  const server = (listening: { host: string; port: number }, localIpv4?: string): string | undefined =>
    /server=(\S+)/.exec(formatLinks(config, { listening, columns: null, localIpv4 }))?.[1]
  assert.equal(server(ANY, '192.168.1.5'), '192.168.1.5')
  assert.equal(server({ host: '::', port: 1 }, '192.168.1.5'), '192.168.1.5')
  assert.equal(server(ANY), '127.0.0.1')
  assert.equal(server({ host: '10.0.0.7', port: 1 }, '192.168.1.5'), '10.0.0.7')
  assert.match(
    formatLinks(config, { listening: ANY, columns: null, localIpv4: '192.168.1.5' }),
    /\n192\.168\.1\.5 is a guess: set public-ipv4/,
  )
})

function secretOf(index: number): string {
  return `ee${index.toString(16).padStart(32, '1')}61`
}

test('each user has a line, up to a screenful, and each host of a user', () => {
  const users = (count: number): string =>
    `[secrets]\n${Array.from({ length: count }, (_, index) => `u${index} = "${secretOf(index)}"`).join('\n')}`
  const text = formatLinks(read(users(12)), { listening: ANY, columns: null, localIpv4: undefined })
  assert.equal(text.match(/: tg:/g)?.length, 10)
  assert.match(text, /… and 2 more/)
  const two = formatLinks(read(`[secrets]\na = ["${secretOf(1)}", "${secretOf(2)}"]`), {
    listening: ANY,
    columns: null,
    localIpv4: undefined,
  })
  assert.equal(two.match(/^a: tg:/gm)?.length, 2)
})

test('a terminal gets a QR code, others do not, and a narrow one neither', () => {
  const config = read(`secret = "${TEXT}"`)
  const draw = (columns: number | null): boolean =>
    formatLinks(config, { listening: ANY, columns, localIpv4: undefined }).includes(WHITE)
  assert.deepEqual([draw(120), draw(null), draw(20)], [true, false, false])
})

test('a drawn code is square, has a light margin and the three corner marks that cameras look for', () => {
  const drawn = drawQrCode(`tg://proxy?port=3128&secret=${TEXT}&server=203.0.113.1`, 200)
  assert.ok(drawn !== undefined)
  const modules = readModules(drawn)
  const size = modules[0]?.length ?? 0
  // Two modules a line: a code of odd size ends with half a line of light.
  assert.ok(modules.length - size <= 1)
  for (const index of modules.keys())
    for (const margin of [0, 1])
      assert.ok(modules[index]?.[margin] === false && modules[margin]?.[index] !== true)
  const mark = ['#######', '#     #', '# ### #', '# ### #', '# ### #', '#     #', '#######']
  for (const [top, left] of [
    [2, 2],
    [2, size - 9],
    [size - 9, 2],
  ] as const) {
    const cut = modules.slice(top, top + 7).map((row) =>
      row
        .slice(left, left + 7)
        .map((dark) => (dark ? '#' : ' '))
        .join(''),
    )
    assert.deepEqual(cut, mark)
  }
})

/** An address of an interface, without what nobody reads here. */
function at(address: string, family: 'IPv4' | 'IPv6', internal: boolean): NetworkInterfaceInfo {
  const common = { address, internal, netmask: '', mac: '', cidr: null }
  return family === 'IPv4' ? { ...common, family } : { ...common, family, scopeid: 0 }
}

test('the local address is the first IPv4 one that others can reach', () => {
  assert.equal(
    findLocalIpv4({
      lo: [at('127.0.0.1', 'IPv4', true)],
      eth0: [at('fe80::1', 'IPv6', false), at('192.168.1.5', 'IPv4', false)],
    }),
    '192.168.1.5',
  )
  assert.equal(findLocalIpv4({ lo: [at('127.0.0.1', 'IPv4', true)] }), undefined)
})
