import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DcAddressList } from '#primary/telegram/dc-addresses'
import { MAX_DC_ADDRESSES } from '#shared/state/layout'

const at = (host: string): { host: string; port: number } => ({ host, port: 443 })

test('positions keep their meaning whatever comes and goes', () => {
  const list = new DcAddressList()
  list.add({ 2: [at('10.0.0.1'), at('10.0.0.2')], 203: [at('10.0.0.1')] })
  const before = [...list.all]
  assert.deepEqual(before, [
    { ip: '10.0.0.1', dc: 2 },
    { ip: '10.0.0.2', dc: 2 },
    { ip: '10.0.0.1', dc: 203 },
  ])
  list.add({ 1: [at('10.0.0.9')], 2: [at('10.0.0.2')] })
  assert.deepEqual(list.all, [...before, { ip: '10.0.0.9', dc: 1 }])
})

test('what does not fit is counted together at the last position', () => {
  const list = new DcAddressList()
  list.add({ 2: Array.from({ length: 300 }, (_, n) => at(`10.0.${n >> 8}.${n & 255}`)) })
  assert.equal(list.all.length, MAX_DC_ADDRESSES)
  assert.deepEqual(list.all.slice(-2), [
    { ip: `10.0.0.${MAX_DC_ADDRESSES - 2}`, dc: 2 },
    { ip: 'other', dc: 0 },
  ])
})
