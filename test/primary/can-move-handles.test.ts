import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessagePort } from 'node:worker_threads'
import { canMoveHandles } from '#primary/can-move-handles'

test('this Node moves handles', () => {
  assert.equal(canMoveHandles(), true)
})

test('one that refuses, or loses them, is found out', (t) => {
  t.mock.method(MessagePort.prototype, 'postMessage', () => {
    throw new DOMException('cannot be cloned', 'DataCloneError')
  })
  assert.equal(canMoveHandles(), false)
  t.mock.method(MessagePort.prototype, 'postMessage', () => {})
  assert.equal(canMoveHandles(), false)
})
