import { type Amounts, type Scenario, UNUSED_AMOUNTS } from './scenario.ts'

/** Numbers of the command line by their flags; undefined where nobody has said one. */
type Numbers = Readonly<Record<string, number | undefined>>

/** Throws for what is no whole number from 1 on. */
export function requireWhole(numbers: Numbers): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue
    throw new Error(`--${name}: a whole number from 1 on is expected`)
  }
}

/** Throws for what is no number above 0. */
export function requirePositive(numbers: Numbers): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue
    throw new Error(`--${name}: a number above 0 is expected`)
  }
}

/** A scenario's own amounts, and those of the command line on top. Throws for amounts that it has no use for. */
export function collectAmounts(
  { name, defaults, quick }: Pick<Scenario, 'name' | 'defaults' | 'quick'>,
  { connections, count, mib, seconds }: Partial<Record<keyof Amounts, number | undefined>>,
  isQuick: boolean,
): Amounts {
  requireWhole({ connections, count, mib })
  requirePositive({ seconds })
  const given = Object.entries({ connections, count, mib, seconds }).filter(
    ([, value]) => value !== undefined,
  )
  const useless = given.find(([amount]) => !(amount in defaults))
  if (useless !== undefined) {
    const useful = Object.keys(defaults).map((amount) => `--${amount}`)
    throw new Error(`${name} has no --${useless[0]}, but ${useful.join(', ')}`)
  }
  return { ...UNUSED_AMOUNTS, ...defaults, ...(isQuick ? quick : {}), ...Object.fromEntries(given) }
}
