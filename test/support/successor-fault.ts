import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/**
 * For `node --import` of a program that is upgraded: a successor does what the file says that the variable names. The
 * first process takes no notice of it.
 */
export const FAULT_FILE_VARIABLE = 'MTG_MULTI_TEST_SUCCESSOR_FAULT'
export type SuccessorFault = 'none' | 'killed at its start' | 'killed when it stands'

const isSuccessor = isMainThread && process.env['MTG_MULTI_SUCCEEDS'] !== undefined
const file = process.env[FAULT_FILE_VARIABLE]
if (isSuccessor && file !== undefined) misbehave(readFileSync(file, 'utf8') as SuccessorFault) // written by the test

function misbehave(fault: SuccessorFault): void {
  const die = (): void => void process.kill(process.pid, 'SIGKILL')
  switch (fault) {
    case 'none':
      return
    case 'killed at its start':
      return die()
    case 'killed when it stands':
      return onStanding(die)
  }
}

/** As soon as the word is on its way. */
function onStanding(act: () => void): void {
  const send = process.send!.bind(process) as (...args: unknown[]) => boolean // any of its overloads
  process.send = ((message: { type: string }, ...rest: unknown[]) => {
    const isWritten = send(message, ...rest)
    if (message.type === 'standing') act()
    return isWritten
  }) as NonNullable<typeof process.send>
}
