import type { VisitResult } from '#shared/front-probe'
import { showUrl } from '#shared/show-url'

/** Sites move; a longer chain is a loop or a game. */
const MAX_REDIRECTS = 3
/** A longer silence is the server thinking, not the pace of its records. */
const MAX_GAP_NS = 1e9

/** What the rounds of a raid brought home. */
export interface Loot {
  /** Times between two records, ns. */
  readonly gapsNs: readonly number[]
  /** Sizes of encrypted handshakes, one for each round that saw one. */
  readonly flightBytes: readonly number[]
  readonly failedRounds: number
}

export interface RaidOptions {
  /** https */
  readonly urls: readonly string[]
  readonly rounds: number
  readonly visit: (url: string) => Promise<VisitResult>
  readonly signal: AbortSignal
  /** A round was given up, and why. */
  readonly onFailure: (reason: string) => void
}

/** Visit every page in each of the rounds. A page that fails discards its round, so that no page weighs more than others. */
export async function scoutPages({ urls, rounds, visit, signal, onFailure }: RaidOptions): Promise<Loot> {
  const gapsNs: number[] = []
  const flightBytes: number[] = []
  let failedRounds = 0
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const pages: Visited[] = []
    for (const url of urls) {
      if (signal.aborted) break
      const page = await visitFollowing(url, visit)
      if (!page.ok) {
        failedRounds += 1
        onFailure(page.reason)
        break
      }
      pages.push(page)
    }
    if (pages.length < urls.length) continue
    for (const page of pages) for (const gap of page.gapsNs) if (gap <= MAX_GAP_NS) gapsNs.push(gap)
    const flight = pages.find((page) => page.flightBytes > 0)
    if (flight !== undefined) flightBytes.push(flight.flightBytes)
  }
  return { gapsNs, flightBytes, failedRounds }
}

type Visited = Extract<VisitResult, { ok: true }>

/** The page that redirects lead to; they are timed as they go, but only the page itself is kept. */
async function visitFollowing(url: string, visit: RaidOptions['visit']): Promise<VisitResult> {
  let target = url
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const page = await visit(target)
    if (!page.ok || page.location === null) return page
    if (!page.location.startsWith('https:'))
      return { ok: false, reason: `${showUrl(url)}: redirected to a place without TLS` }
    target = page.location
  }
  return { ok: false, reason: `${showUrl(url)}: more than ${MAX_REDIRECTS} redirects` }
}
