import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import * as fc from 'fast-check'
import { PROXY_HEADER_CODES, ProxyHeaderError } from '#shared/errors'
import { ProxyHeaderReader } from '#worker/proxy-header-reader'
import {
  buildProxyHeader,
  MAX_V1_BYTES,
  MAX_V2_BODY_BYTES,
  parseProxyHeader,
  type ProxyHeader,
} from '#worker/proxy-protocol'
import { bytes, cutAt } from '../../support/generators.ts'
import { encodeV1, encodeV2, encodeV2Ipv4, encodeV2Ipv6 } from '../../support/proxy-header.ts'
import { cutsOf, stateless, type Target } from '../target.ts'

const V2_FIXED_BYTES = 16
const port = (): fc.Arbitrary<number> => fc.nat(0xffff)

const headers = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.oneof(
        fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), port()).map(([ip, port]) => encodeV1(ip, port)),
        fc.tuple(fc.ipV4(), port(), bytes(0, 30)).map(([ip, port, tlvs]) => encodeV2Ipv4(ip, port, tlvs)),
        fc.tuple(bytes(16), port()).map(([ip, port]) => encodeV2Ipv6(ip, port)),
        fc
          .record({
            command: fc.constantFrom(0x20, 0x21),
            family: fc.constantFrom(0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32),
            addresses: fc.constantFrom(0, 12, 36, 216).chain((length) => bytes(length)),
          })
          .map((fields) => encodeV2(fields)),
        fc.constant(Buffer.from('PROXY UNKNOWN\r\n')),
      ),
      bytes(0, 40),
    )
    .map((parts) => Buffer.concat(parts))

type Outcome = { readonly header: ProxyHeader; readonly behind: Buffer } | { readonly code: string }

async function read(chunks: readonly Buffer[]): Promise<Outcome> {
  const reader = new ProxyHeaderReader()
  const behind = chunks.map((chunk) => Buffer.from(reader.push(chunk)))
  reader.fail(new ProxyHeaderError('peer-closed', 'the input is over'))
  try {
    return { header: await reader.header, behind: Buffer.concat(behind) }
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error
    return { code: error.code }
  }
}

export const proxyHeader: Target = {
  name: 'proxy-header',
  inputs: headers(),
  dictionary: [
    Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
    'PROXY TCP4 ',
    'PROXY TCP6 ',
    'UNKNOWN',
    '\r\n',
    ' 192.0.2.1',
    '::ffff:1.2.3.4',
    'fe80::1%1',
    ' 65535',
    Buffer.of(0x21, 0x11, 0, 12),
    Buffer.of(0x21, 0x21, 0, 36),
    Buffer.of(0x10, 0),
  ],
  maxBytes: 6000,
  limitMs: 100,
  open: () =>
    stateless(async (input) => {
      const whole = await read([input])
      assert.deepEqual(await read(cutAt(input, cutsOf(input))), whole)
      const parsed = parseProxyHeader(input)
      // More than the longest header is never waited for: nothing that a peer sends is kept without end.
      if (parsed === 'incomplete') {
        const isV2 = input.length === 0 || input[0] === 0x0d
        assert.ok(input.length < (isV2 ? V2_FIXED_BYTES + MAX_V2_BODY_BYTES : MAX_V1_BYTES))
      }
      if ('code' in whole) return assert.ok((PROXY_HEADER_CODES as readonly string[]).includes(whole.code))
      const { source, headerBytes } = whole.header
      assert.deepEqual(whole.behind, input.subarray(headerBytes))
      if (source === null) return
      assert.ok(isIP(source.host) !== 0 && !source.host.includes('%'))
      assert.ok(source.port >= 0 && source.port <= 0xffff)
      // For the site that is fronted, whatever family it has.
      for (const host of ['192.0.2.1', '2001:db8::1']) {
        const again = parseProxyHeader(buildProxyHeader(source, { host, port: 443 }))
        assert.ok(again !== 'incomplete' && again.ok)
        assert.deepEqual(again.source, source)
      }
    }),
}
