import type { ProxyConfig } from '#shared/config'
import type { ReplayCover } from './messages.ts'

/**
 * Which hellos the replay set will know (decision W3): those from our start on, or, with what the process before us hands
 * over, those that it knew. A set whose entries live shorter than we have to remember them is of no use: then hellos
 * from before our start are fronted for a while, as after any start.
 */
export function inheritCover(
  { tolerateTimeSkewnessMs }: Pick<ProxyConfig, 'tolerateTimeSkewnessMs'>,
  handed: ReplayCover | null,
  startedAtMs: number,
): ReplayCover {
  const lifeMs = 2 * tolerateTimeSkewnessMs + 1000 // see HelloCheck
  return { sinceMs: handed !== null && handed.lifeMs >= lifeMs ? handed.sinceMs : startedAtMs, lifeMs }
}
