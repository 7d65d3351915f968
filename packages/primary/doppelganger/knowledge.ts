import type { DelayModel, FrontFlights, NoiseModel, TrafficProfile } from '#shared/traffic-profile'
import { UNLEARNT_PROFILE } from '#shared/traffic-profile'
import type { Loot } from './scout.ts'
import { fitWeibull, meanDelayMs } from './weibull.ts'

/** The newest ones count (wire.md §9.4). */
const MAX_SAMPLES = 4096
/** Fewer say nothing about a distribution, or a size (wire.md §9.4). */
const MIN_GAPS = 100
const MIN_FLIGHTS = 3
const MIN_JITTER_BYTES = 100
/** A model that is so much slower than what it was fitted to fits nothing: another law was at work. */
const MAX_MEAN_RATIO = 3

/** All that raids have brought home so far. */
export class Knowledge {
  #gapsNs: number[]
  #flightBytes: number[]
  #flights: Map<string, FrontFlights>
  #delays: DelayModel
  #noise: NoiseModel | null

  constructor() {
    this.#gapsNs = []
    this.#flightBytes = []
    this.#flights = new Map()
    this.#delays = UNLEARNT_PROFILE.delays
    this.#noise = null
  }

  get profile(): TrafficProfile {
    return { delays: this.#delays, noise: this.#noise, flights: new Map(this.#flights) }
  }

  get gapSamples(): number {
    return this.#gapsNs.length
  }

  get flightSamples(): number {
    return this.#flightBytes.length
  }

  /** Other pages are visited from now on. */
  forgetPages(): void {
    this.#gapsNs = []
    this.#flightBytes = []
    this.#delays = UNLEARNT_PROFILE.delays
    this.#noise = null
  }

  /** Only these hosts answer for us any more. */
  keepFlights(hosts: readonly string[]): void {
    this.#flights = new Map([...this.#flights].filter(([host]) => hosts.includes(host)))
  }

  addFlights(host: string, flights: FrontFlights): void {
    this.#flights.set(host, flights)
  }

  /** @returns what is known now and was not before; `misfit`: the gaps follow another law, and the delays stay as they were */
  addLoot({ gapsNs, flightBytes }: Loot): { delays: DelayModel | 'misfit' | null; noise: NoiseModel | null } {
    this.#gapsNs = [...this.#gapsNs, ...gapsNs].slice(-MAX_SAMPLES)
    this.#flightBytes = [...this.#flightBytes, ...flightBytes].slice(-MAX_SAMPLES)
    const delays = gapsNs.length > 0 && this.#gapsNs.length >= MIN_GAPS ? fitGaps(this.#gapsNs) : null
    if (delays !== null && delays !== 'misfit') this.#delays = delays
    const hasFlights = flightBytes.length > 0 && this.#flightBytes.length >= MIN_FLIGHTS
    const noise = hasFlights ? describeSizes(this.#flightBytes) : null
    if (noise !== null) this.#noise = noise
    return { delays, noise }
  }
}

function fitGaps(gapsNs: readonly number[]): DelayModel | 'misfit' {
  const model = fitWeibull(gapsNs)
  if (model === null) return 'misfit'
  const meanMs = gapsNs.reduce((sum, ns) => sum + ns, 0) / gapsNs.length / 1e6
  return meanDelayMs(model) <= MAX_MEAN_RATIO * meanMs ? model : 'misfit'
}

function describeSizes(sizes: readonly number[]): NoiseModel {
  const meanBytes = Math.floor(sizes.reduce((sum, size) => sum + size, 0) / sizes.length)
  const deviations = sizes.map((size) => Math.abs(size - meanBytes))
  return { meanBytes, jitterBytes: Math.max(MIN_JITTER_BYTES, ...deviations) }
}
