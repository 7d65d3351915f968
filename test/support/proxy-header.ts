/** PROXY headers, written from the specification (HAProxy's proxy-protocol.txt) and not from our codec. */

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

export interface V2Fields {
  /** Version and command: 0x21 is PROXY, 0x20 LOCAL. */
  readonly command?: number
  /** Family and transport: 0x11 is TCP over IPv4, 0x21 over IPv6. */
  readonly family: number
  /** Addresses and ports as they stand on the wire. */
  readonly addresses: Uint8Array
  /** Behind the addresses. */
  readonly tlvs?: Uint8Array
}

export function encodeV2({ command = 0x21, family, addresses, tlvs = Buffer.alloc(0) }: V2Fields): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(addresses.length + tlvs.length)
  return Buffer.concat([SIGNATURE, Buffer.of(command, family), length, addresses, tlvs])
}

/** TCP over IPv4, from `source` to 198.51.100.1:443. */
export function encodeV2Ipv4(source: string, port: number, tlvs?: Uint8Array): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(port, 0)
  ports.writeUInt16BE(443, 2)
  const octets = Buffer.from(source.split('.').map(Number))
  const addresses = Buffer.concat([octets, Buffer.of(198, 51, 100, 1), ports])
  return encodeV2({ family: 0x11, addresses, ...(tlvs === undefined ? {} : { tlvs }) })
}

/** TCP over IPv6, from `source` (16 bytes) to 2001:db8::1, port 443. */
export function encodeV2Ipv6(source: Uint8Array, port: number): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(port, 0)
  ports.writeUInt16BE(443, 2)
  const destination = Buffer.from('20010db8000000000000000000000001', 'hex')
  return encodeV2({ family: 0x21, addresses: Buffer.concat([source, destination, ports]) })
}

export function encodeV1(source: string, port: number): Buffer {
  const isIpv6 = source.includes(':')
  const destination = isIpv6 ? '2001:db8::1' : '198.51.100.1'
  return Buffer.from(`PROXY TCP${isIpv6 ? 6 : 4} ${source} ${destination} ${port} 443\r\n`, 'latin1')
}
