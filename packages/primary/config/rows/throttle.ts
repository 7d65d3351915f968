import type { RefuseAction } from '#shared/config'

import { COUNT, DURATION, REFUSE_ACTION } from '../formats.ts'
import type { Rows } from '../schema-row.ts'

export interface ThrottleValues {
  'throttle.max-connections': number
  'throttle.check-interval': number
  'throttle.action': RefuseAction
}

export const THROTTLE_ROWS: Rows<ThrottleValues> = {
  'throttle.max-connections': {
    ...COUNT,
    default: 0,
    reload: 'live',
    help: 'Above so many connections, users with more than their fair share get no more. 0: off.',
  },
  'throttle.check-interval': {
    ...DURATION,
    default: 5000,
    reload: 'live',
    zero: 'default',
    help: 'How often the fair share is computed.',
  },
  'throttle.action': {
    ...REFUSE_ACTION,
    default: 'close',
    reload: 'live',
    help: 'What becomes of a connection above the share: "close" or "front".',
  },
}
