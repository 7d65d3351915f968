import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scoutPages, type RaidOptions } from '#primary/doppelganger/scout'
import type { VisitResult } from '#shared/front-probe'

const page = (more: Partial<Extract<VisitResult, { ok: true }>> = {}): VisitResult => ({
  ok: true,
  gapsNs: [1, 2],
  flightBytes: 3000,
  location: null,
  ...more,
})

async function raid(
  options: Pick<RaidOptions, 'urls' | 'rounds' | 'visit'> & { signal?: AbortSignal },
): Promise<{ loot: Awaited<ReturnType<typeof scoutPages>>; reasons: string[] }> {
  const reasons: string[] = []
  const loot = await scoutPages({
    signal: new AbortController().signal,
    ...options,
    onFailure: (reason) => reasons.push(reason),
  })
  return { loot, reasons }
}

test('every round visits all pages in order, one at a time', async () => {
  const visited: string[] = []
  let running = 0
  const { loot } = await raid({
    urls: ['https://a/', 'https://b/'],
    rounds: 3,
    visit: async (url) => {
      assert.equal(running++, 0)
      await Promise.resolve()
      running -= 1
      visited.push(url)
      return page()
    },
  })
  assert.deepEqual(visited, [
    'https://a/',
    'https://b/',
    'https://a/',
    'https://b/',
    'https://a/',
    'https://b/',
  ])
  assert.deepEqual(loot, {
    gapsNs: Array.from({ length: 6 }, () => [1, 2]).flat(),
    flightBytes: [3000, 3000, 3000],
    failedRounds: 0,
  })
})

test('a page that fails discards its round, and the next round begins', async () => {
  let visits = 0
  const { loot, reasons } = await raid({
    urls: ['https://a/', 'https://b/', 'https://c/'],
    rounds: 2,
    visit: async (url) => {
      visits += 1
      return visits === 2 ? { ok: false, reason: `${url}: down` } : page({ gapsNs: [visits] })
    },
  })
  assert.deepEqual(reasons, ['https://b/: down'])
  assert.equal(visits, 5, 'the third page of the round was spared')
  assert.deepEqual(loot, { gapsNs: [3, 4, 5], flightBytes: [3000], failedRounds: 1 })
})

test('of a round the first handshake counts that was one of TLS 1.3', async () => {
  const sizes = [0, 2500, 2700]
  let visits = 0
  const { loot } = await raid({
    urls: ['https://a/', 'https://b/', 'https://c/'],
    rounds: 1,
    visit: async () => page({ flightBytes: sizes[visits++] ?? 0 }),
  })
  assert.deepEqual(loot.flightBytes, [2500])
})

test('a second of silence is no gap between records', async () => {
  const { loot } = await raid({
    urls: ['https://a/'],
    rounds: 1,
    visit: async () => page({ gapsNs: [5, 1e9, 1e9 + 1, 7e9] }),
  })
  assert.deepEqual(loot.gapsNs, [5, 1e9])
})

test('redirects are followed to where they lead, but not in circles and not out of TLS', async () => {
  const visited: string[] = []
  const follow = (to: Record<string, string>): RaidOptions['visit'] => {
    return async (url) => {
      visited.push(url)
      return page({ location: to[url] ?? null, gapsNs: [visited.length] })
    }
  }
  const there = await raid({ urls: ['https://a/'], rounds: 1, visit: follow({ 'https://a/': 'https://b/' }) })
  assert.deepEqual(visited, ['https://a/', 'https://b/'])
  assert.deepEqual(there.loot.gapsNs, [2], 'of the page itself alone')

  const circle = await raid({
    urls: ['https://a/'],
    rounds: 1,
    visit: follow({ 'https://a/': 'https://a/' }),
  })
  assert.deepEqual(circle.reasons, ['https://a/: more than 3 redirects'])
  const plain = await raid({ urls: ['https://a/'], rounds: 1, visit: follow({ 'https://a/': 'http://a/' }) })
  assert.deepEqual(plain.reasons, ['https://a/: redirected to a place without TLS'])
})

test('a raid that is told to end visits no further page', async () => {
  const controller = new AbortController()
  let visits = 0
  await raid({
    urls: ['https://a/', 'https://b/'],
    rounds: 10,
    signal: controller.signal,
    visit: async () => {
      visits += 1
      if (visits === 3) controller.abort()
      return page()
    },
  })
  assert.equal(visits, 3)
})
