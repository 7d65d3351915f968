import { setTimeout as sleep } from 'node:timers/promises'

import { EchoClient } from '../support/echo-client.ts'
import { openLine } from '../support/line.ts'
import { format, type LoadTarget, MIB, type Scenario } from '../support/scenario.ts'
import { quantile } from '../support/statistics.ts'
import { openStream } from './download.ts'
import { openUpload } from './upload.ts'

/**
 * What do so many clients cost who do what people do? Most are idle, some write, few download, fewer upload, and new
 * ones come. Everybody has a pace of his own, as a person has: the proxy is loaded, not filled, and what it needs of
 * a core says how many such clients a server carries.
 */

/** Of all connections; the rest is idle. */
const DOWNLOADING = 0.1
const UPLOADING = 0.05
const CHATTING = 0.25
/** A download of a photo, several of them a second. */
const DOWNLOAD_BYTES = 512 * 1024
const DOWNLOAD_EACH_MS = 250
const UPLOAD_BYTES = MIB
const UPLOAD_EACH_MS = 1000
const MESSAGE_EACH_MS = 500
/** A twentieth of the connections is new every second. */
const NEW_EACH_SECOND = 0.05
/** Opened at once while the stage is set. */
const LANES = 16

export const mixed: Scenario = {
  name: 'mixed',
  summary: 'clients that idle, write, download and upload, and new ones: share of a core, delays',
  defaults: { connections: 200, seconds: 15 },
  quick: { connections: 20, seconds: 1 },
  cpuFigures: ['cpuPercentOfACore'],
  phases: ['mixed'],
  async prepare(target, { connections, seconds, verify }) {
    const count = (share: number): number => Math.max(1, Math.round(connections * share))
    const downloads = await openMany(count(DOWNLOADING), () => openStream(target, verify))
    const uploads = await openMany(count(UPLOADING), () => openUpload(target, verify))
    const chats = await openMany(count(CHATTING), () => EchoClient.open(target, openLine))
    const idleCount = Math.max(1, connections - downloads.length - uploads.length - chats.length)
    const idle = await openMany(idleCount, () => EchoClient.open(target, openLine))
    return {
      async mixed(progress) {
        const startedAt = performance.now()
        const endMs = startedAt + seconds * 1000
        const chatMs: number[] = []
        const arrivalMs: number[] = []
        let downBytes = 0
        let upBytes = 0
        const pace = (eachMs: number, act: () => Promise<unknown>): Promise<void> =>
          actUntil(endMs, eachMs, act, () => progress((performance.now() - startedAt) / (seconds * 1000)))
        const down = (bytes: number): number => (downBytes += bytes)
        const up = (bytes: number): number => (upBytes += bytes)
        await Promise.all([
          ...downloads.map((stream) => pace(DOWNLOAD_EACH_MS, () => stream(DOWNLOAD_BYTES, down))),
          ...uploads.map((stream) => pace(UPLOAD_EACH_MS, () => stream(UPLOAD_BYTES, up))),
          ...chats.map((client) => pace(MESSAGE_EACH_MS, async () => chatMs.push(await client.roundTrip()))),
          pace(1000 / (connections * NEW_EACH_SECOND), async () => arrivalMs.push(await arrive(target))),
        ])
        const wallSeconds = (performance.now() - startedAt) / 1000
        if (idle.some((client) => client.isClosed)) throw new Error('an idle connection was closed')
        const values = {
          downMibPerSecond: downBytes / MIB / wallSeconds,
          upMibPerSecond: upBytes / MIB / wallSeconds,
          chatP50Ms: quantile(chatMs, 0.5),
          chatP99Ms: quantile(chatMs, 0.99),
          chatP999Ms: quantile(chatMs, 0.999),
          newcomersPerSecond: arrivalMs.length / wallSeconds,
          newcomerP50Ms: quantile(arrivalMs, 0.5),
          newcomerP99Ms: quantile(arrivalMs, 0.99),
        }
        return { units: connections, wallSeconds, values }
      },
    }
  },
  compute({ mixed }) {
    if (mixed === undefined) return {}
    const { cpu, load, rssAfterKib } = mixed
    const percent = ((cpu?.total ?? Number.NaN) / load.wallSeconds) * 100
    return {
      cpuPercentOfACore: percent,
      cpuPercentPerHundredClients: (percent / load.units) * 100,
      rssMib: rssAfterKib / 1024,
      ...load.values,
    }
  },
  describe(figures) {
    const show = (name: string, digits: number): string => format(figures, name, digits)
    const times = (name: string): string => `${show(`${name}P50Ms`, 1)} / ${show(`${name}P99Ms`, 1)} ms`
    return [
      `${show('cpuPercentOfACore', 1)} % of a core, ${show('cpuPercentPerHundredClients', 1)} % for 100 clients, ` +
        `RSS ${show('rssMib', 0)} MiB; down ${show('downMibPerSecond', 1)}, up ${show('upMibPerSecond', 1)} MiB/s, ` +
        `${show('newcomersPerSecond', 1)} newcomers/s`,
      `messages take ${times('chat')} there and back (p50 / p99), newcomers ${times('newcomer')} to their first answer`,
    ]
  },
}

async function openMany<T>(count: number, open: () => Promise<T>): Promise<T[]> {
  const opened: T[] = []
  let started = 0
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1
      opened.push(await open())
    }
  }
  await Promise.all(Array.from({ length: Math.min(LANES, count) }, lane))
  return opened
}

/** Begins at any moment of the first interval; what takes longer than an interval delays the next one. */
async function actUntil(
  endMs: number,
  eachMs: number,
  act: () => Promise<unknown>,
  progress: () => void,
): Promise<void> {
  await sleep(Math.random() * eachMs)
  for (let dueMs = performance.now(); dueMs < endMs;) {
    await act()
    progress()
    dueMs = Math.max(dueMs + eachMs, performance.now())
    await sleep(Math.max(0, Math.min(dueMs, endMs) - performance.now()))
  }
}

/** From connect to the first echo. */
async function arrive(target: LoadTarget): Promise<number> {
  const startedMs = performance.now()
  const client = await EchoClient.open(target, openLine)
  const tookMs = performance.now() - startedMs
  client.close()
  return tookMs
}
