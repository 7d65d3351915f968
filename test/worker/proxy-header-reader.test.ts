import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ProxyHeaderError } from '#shared/errors'
import { ProxyHeaderReader } from '#worker/proxy-header-reader'
import { bytes, cutAt, cuts } from '../support/generators.ts'
import { encodeV1, encodeV2Ipv4 } from '../support/proxy-header.ts'

const SOURCE = { host: '203.0.113.7', port: 51234 }

test('what is behind the header is given back byte for byte, however it is cut', async () => {
  const header = fc.constantFrom(
    encodeV1(SOURCE.host, SOURCE.port),
    encodeV2Ipv4(SOURCE.host, SOURCE.port, Buffer.alloc(9)),
  )
  const stream = fc
    .tuple(header, bytes(0, 200))
    .chain(([head, rest]) => fc.tuple(fc.constant(head), fc.constant(rest), cuts(head.length + rest.length)))
  await fc.assert(
    fc.asyncProperty(stream, async ([head, rest, positions]) => {
      const reader = new ProxyHeaderReader()
      const surplus = cutAt(Buffer.concat([head, rest]), positions).map((chunk) =>
        Buffer.from(reader.push(chunk)),
      )
      assert.deepEqual(Buffer.concat(surplus), rest)
      assert.deepEqual((await reader.header).source, SOURCE)
    }),
  )
})

test('one byte at a time', async () => {
  const reader = new ProxyHeaderReader()
  for (const byte of encodeV2Ipv4(SOURCE.host, SOURCE.port))
    assert.equal(reader.push(Buffer.of(byte)).length, 0)
  assert.deepEqual((await reader.header).source, SOURCE)
})

test('the first wrong byte ends it, and what comes behind is nobody’s', async () => {
  const reader = new ProxyHeaderReader()
  assert.equal(reader.push(Buffer.from('PROXZ')).length, 0)
  await assert.rejects(reader.header, (error) => error instanceof ProxyHeaderError && error.code === 'absent')
})

test('told that none will come, it says so; a second word does not count', async () => {
  const reader = new ProxyHeaderReader()
  reader.push(Buffer.from('PROXY '))
  reader.fail(new ProxyHeaderError('deadline', 'too late'))
  reader.fail(new ProxyHeaderError('peer-closed', 'gone'))
  await assert.rejects(reader.header, { code: 'deadline' })
})
