/**
 * What a user's quota is at, in one cell: 0 without a quota; else an even number while there is something left, the odd one
 * after it when it is used up. The primary goes on to another even number whenever it changes anything, so that a thread
 * which saw the end of the quota as it was does not put an end to the one that is.
 */

export const NO_QUOTA = 0

export const isUsedUp = (state: number): boolean => (state & 1) === 1

export const markUsedUp = (state: number): number => state | 1

/** The next state of a quota of which something is left. */
export const reopen = (state: number): number => ((state | 1) + 1) & 0x7fff_ffff || 2
