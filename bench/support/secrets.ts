import { createHash } from 'node:crypto'

/** The host of every secret that the benches make. */
export const HOST = 'example.com'

/** `ee…` of the user with this number: proxy and load derive the same from one seed. */
export function buildSecret(seed: string, number: number): string {
  const key = createHash('sha256').update(`${seed} ${number}`).digest('hex').slice(0, 32)
  return `ee${key}${Buffer.from(HOST).toString('hex')}`
}
