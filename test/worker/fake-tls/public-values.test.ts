import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BUSY_TAKES_PER_TICK,
  MAX_PUBLIC_VALUES,
  PublicValues,
  VALUES_PER_TICK,
} from '#worker/fake-tls/public-values'

const hex = (value: Buffer): string => value.toString('hex')

test('no value is given out twice, made ahead or not', () => {
  const values = new PublicValues()
  const taken: string[] = []
  for (const ticks of [0, 1, 2, 0, 1]) {
    for (let tick = 0; tick < ticks; tick++) values.tick()
    for (let take = 0; take < VALUES_PER_TICK + 8; take++) taken.push(hex(values.take()))
  }
  assert.equal(new Set(taken).size, taken.length)
  assert.ok(taken.every((value) => value.length === 64))
})

test('what was given out stays as it is while others are made', () => {
  const values = new PublicValues()
  values.tick()
  const mine = values.take()
  const before = hex(mine)
  for (let tick = 0; tick < 3; tick++) values.tick()
  assert.equal(hex(mine), before)
})

test('a tick makes a few, and there are never more than so many', () => {
  const values = new PublicValues()
  assert.equal(values.size, 0)
  values.tick()
  assert.equal(values.size, VALUES_PER_TICK)
  for (let tick = 0; tick < MAX_PUBLIC_VALUES / VALUES_PER_TICK + 3; tick++) values.tick()
  assert.equal(values.size, MAX_PUBLIC_VALUES)
  values.take()
  assert.equal(values.size, MAX_PUBLIC_VALUES - 1)
  values.tick()
  assert.equal(values.size, MAX_PUBLIC_VALUES)
})

test('while handshakes run none is made ahead, and everybody gets one all the same', () => {
  const values = new PublicValues()
  values.tick()
  for (let take = 0; take < BUSY_TAKES_PER_TICK; take++) assert.equal(values.take().length, 32)
  assert.equal(values.size, 0)
  values.tick()
  assert.equal(values.size, 0)
  for (let take = 0; take < BUSY_TAKES_PER_TICK - 1; take++) values.take()
  values.tick()
  assert.equal(values.size, VALUES_PER_TICK)
})
