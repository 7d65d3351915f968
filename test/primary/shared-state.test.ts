import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '#primary/config/read'
import { SharedState } from '#primary/shared-state'
import type { UserConfig } from '#shared/config'
import { OperatorError } from '#shared/errors'
import { MAX_USERS } from '#shared/state/ledger-memory'
import { recordLog } from '../support/record-log.ts'

const SECRET = `ee${'01'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const TEXT = `bind-to = "127.0.0.1:3128"\nsecret = "${SECRET}"\nperformance.workers = 1`
const { config } = readConfig(TEXT, { fileName: 'config.toml' })

const makeUsers = (prefix: string, count: number): UserConfig[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `${prefix}${index}`,
    secrets: [],
    quota: null,
    overLimit: 'close',
  }))

test('users who do not fit change nothing, and take no place', () => {
  const before = makeUsers('a', MAX_USERS / 2)
  const state = new SharedState({ ...config, users: before }, recordLog().logger)
  const entries = state.users
  // Those who leave keep their places until the others have theirs.
  assert.throws(() => state.setUsers(makeUsers('b', MAX_USERS / 2 + 1)), OperatorError)
  assert.equal(state.users, entries)
  state.setUsers([...before, ...makeUsers('b', MAX_USERS / 2)])
  assert.equal(state.users.length, MAX_USERS)
  assert.deepEqual(
    state.users.slice(0, 3).map(({ slot, generation }) => [slot, generation]),
    entries.slice(0, 3).map(({ slot, generation }) => [slot, generation]),
  )
})
