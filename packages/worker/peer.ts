/** Who the client is: what the socket says, or what a PROXY header said. */
export interface Peer {
  readonly address: string
  readonly port: number
  /** Ledger slots of users seen lately on its network, the last one first. */
  readonly userHints: readonly number[]
  /** An IP list refuses it: no key is tried, it sees the site that it asks for. */
  readonly mustFront: boolean
  /** It is a balancer, which will say in a PROXY header who the client is. */
  readonly isProxied: boolean
  /** Who gave the hint, and wants to hear who it was. */
  readonly hintedBy: 'primary' | 'thread'
}

/** The `ip_family` label of what is counted for the peer. */
export function familyOf({ address }: Peer): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
