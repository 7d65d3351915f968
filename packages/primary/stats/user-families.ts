/**
 * What users hold and move, for exporters. The number of series is bounded (decision O4): the first users by name are
 * shown one by one, all others together.
 */
import { REFUSALS, type Refusal } from '#shared/state/ledger-layout'
import type { UserLedger, UserNumbers } from '#shared/state/user-ledger'
import type { UserEntry } from '#shared/worker-control'
import type { QuotaNumbers, Quotas } from '../quota/quotas.ts'
import type { Sample, SampledFamily } from './families.ts'
import { Rising } from './rising.ts'

/** Everybody beyond the limit. A user who is called so is added to them if there are any. */
const OTHERS = 'other'

export interface UserFamiliesOptions {
  readonly ledger: Pick<UserLedger, 'read' | 'readRefusals'>
  readonly quotas: Pick<Quotas, 'read'>
  /** In the order of the configuration, which is bytewise by name. */
  readonly users: () => readonly UserEntry[]
  /** Users shown one by one. */
  readonly limit: number
}

/** A number of a user: labels beside `user`, and how to read it. */
interface Reading {
  readonly labels: Readonly<Record<string, string>>
  /** null for a user who has no such number. */
  readonly read: (ledger: UserFamiliesOptions['ledger'], user: UserEntry) => number | null
}

const numbers =
  (pick: (numbers: UserNumbers) => number): Reading['read'] =>
  (ledger, { slot }) =>
    pick(ledger.read(slot))

const refusals =
  (reason: Refusal): Reading['read'] =>
  (ledger, { slot }) =>
    ledger.readRefusals(slot)[reason]

const quotaOf =
  (quotas: UserFamiliesOptions['quotas'], pick: (numbers: QuotaNumbers) => number): Reading['read'] =>
  (_, { slot }) => {
    const found = quotas.read(slot)
    return found === null ? null : pick(found)
  }

/** Families `user_connections`, `user_bytes`, `user_refusals`, `user_quota_bytes`, `user_quota_used_bytes`. */
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
    {
      name: 'user_quota_bytes',
      kind: 'gauge',
      help: 'Bytes that the user may move in each period of the quota; absent for users without a quota.',
      labelNames: ['user'],
      collect: () =>
        collect(options, [{ labels: {}, read: quotaOf(options.quotas, ({ limitBytes }) => limitBytes) }]),
    },
    {
      name: 'user_quota_used_bytes',
      kind: 'gauge',
      help: 'Bytes that the user has moved in this period of the quota.',
      labelNames: ['user'],
      collect: () =>
        collect(options, [{ labels: {}, read: quotaOf(options.quotas, ({ usedBytes }) => usedBytes) }]),
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
    const samples = shown.flatMap((user) => {
      const value = read(ledger, user)
      return value === null ? [] : [{ labels: { user: user.name, ...labels }, value }]
    })
    const rest = others.map((user) => read(ledger, user)).filter((value) => value !== null)
    if (rest.length === 0) return samples
    const value = rest.reduce((sum, one) => sum + one, 0)
    return [...samples, { labels: { user: OTHERS, ...labels }, value }]
  })
}
