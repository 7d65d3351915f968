import { setTimeout as sleep } from 'node:timers/promises'

import { Child } from '../support/child.ts'
import { cpuPerUnit } from '../support/cpu-figures.ts'
import { type HandshakeLoad, sendStrangeHellos, shakeHands } from '../support/handshake-load.ts'
import { PACED_ROUND_TRIPS } from '../support/pass-pause.ts'
import { buildSecret, HOST } from '../support/secrets.ts'
import {
  type Figures,
  format,
  type LoadTarget,
  type Measurement,
  type Scenario,
} from '../support/scenario.ts'

/**
 * What does a handshake cost when many secrets have the same host? Of a user whom the proxy has seen come from this
 * address, of one whom it has not, and of nobody: a hello that no secret signed, which is tried with all of them. And
 * how long does somebody who is served wait meanwhile? He has a process of his own, and phases of their own, so that
 * his messages are in no other figure.
 */

const ECHO_SCRIPT = new URL('../support/echo-watch.ts', import.meta.url)
/** Enough for the code of two threads to be compiled. */
const WARM_UP_HANDSHAKES = 4000
/** Users who come again and again, each from a network of his own. */
const KNOWN_USERS = 64
const QUIET_MS = 2000

type Who = HandshakeLoad['each']

export const secrets: Scenario = {
  name: 'secrets',
  summary: 'handshakes with 1, 100 and 10,000 secrets of one host; strangers, and who waits for them',
  defaults: { connections: 8, count: 1000, seconds: 4 },
  quick: { connections: 4, count: 20, seconds: 0.3 },
  secretCounts: [1, 100, 10_000],
  cpuFigures: ['knownCpuMicroseconds', 'unknownCpuMicroseconds', 'missCpuMicroseconds'],
  phases: ['known', 'unknown', 'miss', 'quiet', 'missBesideEcho'],
  async prepare(target, { connections, count, seconds }) {
    const amounts = { connections, count, seconds }
    const known = createKnownUsers(target)
    const unknown = createNewcomers(target)
    await shakeHands(target, { connections, count: Math.min(WARM_UP_HANDSHAKES, 4 * count), each: known })
    // Everybody once more, so that the last who came from each network is the one who comes again.
    await shakeHands(target, { connections, count: KNOWN_USERS, each: known })
    const echo = new Child('the echo', ECHO_SCRIPT, [
      JSON.stringify(target),
      String(Math.min(PACED_ROUND_TRIPS, count)),
    ])
    await echo.next() // connected
    const beside = async (run: () => Promise<unknown>): Promise<Figures> => {
      echo.send('start')
      await run()
      echo.send('stop')
      return (await echo.next())['values'] as Figures // echo-watch.ts prints them so
    }
    return {
      known: (progress) => shakeHands(target, { ...amounts, each: known, progress }),
      unknown: (progress) => shakeHands(target, { ...amounts, each: unknown, progress }),
      miss: (progress) => sendStrangeHellos(target, HOST, { ...amounts, each: unknown, progress }),
      async quiet() {
        const values = await beside(() => sleep(Math.min(QUIET_MS, seconds * 1000)))
        return { units: 1, wallSeconds: QUIET_MS / 1000, values }
      },
      async missBesideEcho(progress) {
        const load = { ...amounts, count: Number.POSITIVE_INFINITY, each: unknown, progress }
        let report = { units: 0, wallSeconds: 0 }
        const values = await beside(async () => (report = await sendStrangeHellos(target, HOST, load)))
        return { ...report, values }
      },
    }
  },
  compute({ known, unknown, miss, quiet, missBesideEcho }) {
    return {
      ...perHello('known', known),
      ...perHello('unknown', unknown),
      ...perHello('miss', miss),
      ...prefix('quietEcho', quiet?.load.values),
      ...prefix('missEcho', missBesideEcho?.load.values),
      rssMib: (known?.rssAfterKib ?? Number.NaN) / 1024,
    }
  },
  describe(figures) {
    const cpu = (name: string): string =>
      `${format(figures, `${name}CpuMicroseconds`, 0)} µs (worker ${format(figures, `${name}WorkerMicroseconds`, 0)}, ` +
      `primary ${format(figures, `${name}PrimaryMicroseconds`, 0)})`
    const echo = (name: string): string =>
      ['P50', 'P99', 'Max'].map((share) => format(figures, `${name}Echo${share}Ms`, 2)).join(' / ')
    return [
      `CPU per handshake: known address ${cpu('known')}, unknown ${cpu('unknown')}`,
      `CPU per hello that nobody signed: ${cpu('miss')}`,
      `echo beside such hellos: ${echo('miss')} ms (p50 / p99 / max), beside nothing ${echo('quiet')} ms`,
    ]
  },
}

function perHello(name: string, measurement: Measurement | undefined): Figures {
  if (measurement === undefined) return {}
  const names = {
    total: `${name}CpuMicroseconds`,
    workers: `${name}WorkerMicroseconds`,
    primary: `${name}PrimaryMicroseconds`,
  }
  return cpuPerUnit(measurement, names, 1e6)
}

function prefix(name: string, values: Figures | undefined): Figures {
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [`${name}${key}`, value]))
}

/** The same users over and over, each from 127.1.N.1. */
function createKnownUsers(target: LoadTarget): Who {
  const users = Math.min(KNOWN_USERS, target.secretCount)
  return (number) => {
    const at = number % users
    return {
      ...secretOf(target, Math.floor((at * target.secretCount) / users)),
      ...address(target, `127.1.${at}.1`),
    }
  }
}

/** Any user, each time from a network that nobody has come from. */
function createNewcomers(target: LoadTarget): Who {
  let came = 0
  return () => {
    came += 1
    const network = `127.${16 + ((came >> 8) & 127)}.${came & 255}`
    return {
      ...secretOf(target, Math.floor(Math.random() * target.secretCount)),
      ...address(target, `${network}.1`),
    }
  }
}

function secretOf({ seed, secret }: LoadTarget, number: number): { readonly secret: string } {
  return { secret: seed === null ? secret : buildSecret(seed, number) }
}

/** Only this machine has so many addresses. */
function address({ host }: LoadTarget, localAddress: string): { readonly localAddress?: string } {
  return host.startsWith('127.') ? { localAddress } : {}
}
