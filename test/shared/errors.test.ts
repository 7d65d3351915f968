import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BugError,
  ConfigError,
  DIAL_CODES,
  DialError,
  formatConfigProblem,
  HANDSHAKE_CODES,
  HandshakeError,
  OperatorError,
} from '#shared/errors'

test('every error has a name, a code and, where something caused it, the cause', () => {
  const cause = new Error('below')
  const errors = [
    new HandshakeError('digest', 'm', 'a.example'),
    new DialError('refused', 'm', { cause }),
    new ConfigError([], { cause }),
    new OperatorError('m', { cause }),
    new BugError('m', { cause }),
  ]
  assert.deepEqual(
    errors.map(({ name, code }) => [name, code]),
    [
      ['HandshakeError', 'digest'],
      ['DialError', 'refused'],
      ['ConfigError', 'config'],
      ['OperatorError', 'operator'],
      ['BugError', 'bug'],
    ],
  )
  for (const error of errors.slice(1)) assert.equal(error.cause, cause)
  for (const error of errors) assert.ok(error instanceof Error && error.stack?.includes(error.name))
})

test('a refused peer is fronted to the host it named, or to nobody in particular', () => {
  assert.equal(new HandshakeError('digest', 'm', 'a.example').frontHost, 'a.example')
  assert.equal(new HandshakeError('digest', 'm').frontHost, null)
})

test('codes are listed once each and look like labels', () => {
  for (const codes of [HANDSHAKE_CODES, DIAL_CODES]) {
    assert.equal(new Set(codes).size, codes.length)
    for (const code of codes) assert.match(code, /^[a-z0-9]+(?:-[a-z0-9]+)*$/)
  }
})

test('a problem of the configuration is told by path, line, what was found and what is expected', () => {
  const expected = 'expected a duration such as "5s"'
  assert.equal(
    formatConfigProblem({ path: 'network.timeout.tcp', line: 12, found: '"5"', expected }),
    `network.timeout.tcp (line 12): found "5", ${expected}`,
  )
  assert.equal(
    formatConfigProblem({ path: 'network.timeout.tcp', expected }),
    `network.timeout.tcp: ${expected}`,
  )
  assert.equal(formatConfigProblem({ path: '', expected: 'no such file' }), 'no such file')
  assert.equal(formatConfigProblem({ path: '', line: 3, expected: 'a bracket' }), '(line 3): a bracket')
})

test('all problems of a configuration stand in its message, one a line', () => {
  const error = new ConfigError([
    { path: 'a', expected: 'x' },
    { path: 'b', expected: 'y' },
  ])
  assert.equal(error.message, 'a: x\nb: y')
  assert.equal(error.problems.length, 2)
})
