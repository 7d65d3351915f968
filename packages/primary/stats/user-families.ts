/**
 * What users hold and move, for exporters. The number of series is bounded (decision O4): the first users by name are
 * shown one by one, all others together.
 */
import { REFUSALS, type Refusal } from '#shared/state/ledger-layout'
import type { UserLedger, UserNumbers } from '#shared/state/user-ledger'
import type { UserEntry } from '#shared/worker-control'
import type { Sample, SampledFamily } from './families.ts'
import { Rising } from './rising.ts'

/** Everybody beyond the limit. A user who is called so is added to them if there are any. */
const OTHERS = 'other'

export interface UserFamiliesOptions {
  readonly ledger: Pick<UserLedger, 'read' | 'readRefusals'>
  /** In the order of the configuration, which is bytewise by name. */
  readonly users: () => readonly UserEntry[]
  /** Users shown one by one. */
  readonly limit: number
}

/** A number of a user: labels beside `user`, and how to read it. */
interface Reading {
  readonly labels: Readonly<Record<string, string>>
  readonly read: (ledger: UserFamiliesOptions['ledger'], user: UserEntry) => number
}

const numbers =
  (pick: (numbers: UserNumbers) => number): Reading['read'] =>
  (ledger, { slot }) =>
    pick(ledger.read(slot))

const refusals =
  (reason: Refusal): Reading['read'] =>
  (ledger, { slot }) =>
    ledger.readRefusals(slot)[reason]

/** Families `user_connections`, `user_bytes`, `user_refusals`. */
export function listUserFamilies(options: UserFamiliesOptions): readonly SampledFamily[] {
  const sent = new Rising()
  return [
    {
      name: 'user_connections',
      kind: 'gauge',
      help: 'Connections that the user holds.',
      labelNames: ['user'],
      collect: () => collect(options, [{ labels: {}, read: numbers(({ connections }) => connections) }]),
    },
    {
      name: 'user_bytes',
      kind: 'counter',
      help: 'Bytes that the user has moved since the start.',
      labelNames: ['user', 'direction'],
      collect: () =>
        collect(options, [
          {
            labels: { direction: 'to_client' },
            read: (ledger, user) => sent.raise(user, ledger.read(user.slot).bytesOut),
          },
          { labels: { direction: 'from_client' }, read: numbers(({ bytesIn }) => bytesIn) },
        ]),
    },
    {
      name: 'user_refusals',
      kind: 'counter',
      help: 'Connections that the user was refused, by reason.',
      labelNames: ['user', 'reason'],
      collect: () =>
        collect(
          options,
          REFUSALS.map((reason) => ({ labels: { reason }, read: refusals(reason) })),
        ),
    },
  ]
}

function collect({ ledger, users, limit }: UserFamiliesOptions, readings: readonly Reading[]): Sample[] {
  const all = users()
  const isShown = ({ name }: UserEntry, index: number): boolean =>
    index < limit && (name !== OTHERS || all.length <= limit)
  const shown = all.filter(isShown)
  const others = all.filter((user, index) => !isShown(user, index))
  return readings.flatMap(({ labels, read }) => {
    const samples = shown.map((user) => ({
      labels: { user: user.name, ...labels },
      value: read(ledger, user),
    }))
    if (others.length === 0) return samples
    const rest = others.reduce((sum, user) => sum + read(ledger, user), 0)
    return [...samples, { labels: { user: OTHERS, ...labels }, value: rest }]
  })
}
