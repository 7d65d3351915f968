import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseUsers } from '#primary/access/choose-user'
import type { UserConfig } from '#shared/config'
import { OperatorError } from '#shared/errors'

const user = (name: string): UserConfig => ({ name, secrets: [], quota: null, overLimit: 'close' })
const crowd = (count: number): UserConfig[] => Array.from({ length: count }, (_, at) => user(`user-${at}`))

/** What is said to whoever asks for a name that is not there. */
function refuse(users: readonly UserConfig[], name: string): string {
  try {
    chooseUsers(users, name)
  } catch (error) {
    assert.ok(error instanceof OperatorError)
    return error.message
  }
  assert.fail('somebody was chosen')
}

test('all are meant, or the one who is named', () => {
  const users = crowd(3)
  assert.deepEqual(chooseUsers(users, undefined), users)
  assert.deepEqual(chooseUsers(users, 'user-1'), [users[1]])
})

test('a name that is not there is answered with those that are, twenty at most, and the nearest', () => {
  const names = (count: number): string =>
    crowd(count)
      .map(({ name }) => name)
      .join(', ')
  assert.equal(refuse(crowd(20), 'zzz'), `no user "zzz"\nthe users are: ${names(20)}`)
  assert.equal(
    refuse(crowd(23), 'usr-7'),
    `no user "usr-7", did you mean "user-7"?\nthe users are: ${names(20)} and 3 more`,
  )
})
