import { BlockList, isIPv6 } from 'node:net'

/** The networks whose PROXY headers are believed: `proxy-protocol-trusted`. */
export class TrustedNetworks {
  /** One a family: a list of both takes every IPv4 address for a member of `::/0`. */
  readonly #networks: Readonly<Record<'ipv4' | 'ipv6', BlockList>>

  /** @param networks as CIDR, both families */
  constructor(networks: readonly string[]) {
    this.#networks = { ipv4: new BlockList(), ipv6: new BlockList() }
    for (const network of networks) {
      const [address = '', bits] = network.split('/')
      const family = familyOf(address)
      this.#networks[family].addSubnet(address, Number(bits), family)
    }
  }

  /** @param address an IP literal; IPv4-mapped ones are to be written as IPv4 */
  has(address: string): boolean {
    const [plain = address] = address.split('%') // a link-local peer comes with its zone
    const family = familyOf(plain)
    return this.#networks[family].check(plain, family)
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}
