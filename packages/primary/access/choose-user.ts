import { findNearest } from '#primary/config/nearest'
import type { UserConfig } from '#shared/config'
import { OperatorError } from '#shared/errors'

/** Names shown to whoever asks for one that is not there: a screen's width or two. */
const MAX_NAMES_SHOWN = 20

/**
 * The users that are meant: all, or the named one.
 * @throws OperatorError with the names there are, if this is none of them
 */
export function chooseUsers(users: readonly UserConfig[], name: string | undefined): readonly UserConfig[] {
  if (name === undefined) return users
  const chosen = users.find((user) => user.name === name)
  if (chosen !== undefined) return [chosen]
  const names = users.map((user) => user.name)
  const nearest = findNearest(name, names)
  const hint = nearest === undefined ? '' : `, did you mean ${JSON.stringify(nearest)}?`
  throw new OperatorError(`no user ${JSON.stringify(name)}${hint}\nthe users are: ${listNames(names)}`)
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES_SHOWN).join(', ')
  return names.length > MAX_NAMES_SHOWN ? `${shown} and ${names.length - MAX_NAMES_SHOWN} more` : shown
}
