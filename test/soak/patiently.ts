import { eventually } from '../support/process-state.ts'

/** A soak shares its machine with others for half an hour: a hang is what takes this long. */
const LIMIT_MS = 60_000

/** As `eventually`. */
export function patiently<T>(
  what: string,
  look: () => T | Promise<T>,
  isRight: (value: T) => boolean,
): Promise<T> {
  return eventually(what, look, isRight, LIMIT_MS)
}
