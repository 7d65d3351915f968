/** What is known of how the fronting site sends: learnt in the primary, followed by the worker threads. Plain data. */
export interface TrafficProfile {
  /** Time between two records of a download. */
  readonly delays: DelayModel
  /** Size of an encrypted handshake flight, from the visits to `defense.doppelganger.urls`; null: not known. */
  readonly noise: NoiseModel | null
  /** What each fronting host answers to a ClientHello; keyed by the host in lower case, without a trailing dot. */
  readonly flights: ReadonlyMap<string, FrontFlights>
}

/** Weibull: `λ · (−ln U)^(1/k)` milliseconds, U uniform in (0, 1] (wire.md §9.2). */
export interface DelayModel {
  readonly k: number
  readonly lambdaMs: number
}

/** Uniform in [mean − jitter, mean + jitter), bytes (wire.md §3). */
export interface NoiseModel {
  readonly meanBytes: number
  readonly jitterBytes: number
}

/**
 * The answers of one fronting host to ClientHellos as Telegram's clients send them (decision W5): newer ones with a key
 * share of X25519MLKEM768, older ones without. They differ by more than the share: OpenSSL tells a client which group it
 * would have preferred.
 */
export interface FrontFlights {
  readonly hybrid: FrontFlight
  readonly classic: FrontFlight
}

/** The answer to one kind of hello. */
export interface FrontFlight {
  readonly cipherSuite: number
  /** Of its key share: 0x001d is X25519, 0x11ec X25519MLKEM768. */
  readonly group: number
  /** Types of the ServerHello's extensions, in its order. */
  readonly extensions: readonly number[]
  /** Bytes on the wire behind ChangeCipherSpec, record headers included, until the client's turn: one for each probe. */
  readonly encryptedBytes: readonly number[]
  /** Sizes of those records of the last probe, without headers. */
  readonly recordBytes: readonly number[]
  /** Session tickets that the host sent afterwards. */
  readonly tickets: number
}

/** As the reference's authors measured them on one site: 6.755 ms in the mean, half of them below 0.66 ms. */
const REFERENCE_DELAYS: DelayModel = { k: 0.378_463_738_957_853_35, lambdaMs: 1.731_770_860_154_85 }

/** While nothing is known. */
export const UNLEARNT_PROFILE: TrafficProfile = {
  delays: REFERENCE_DELAYS,
  noise: null,
  flights: new Map(),
}
