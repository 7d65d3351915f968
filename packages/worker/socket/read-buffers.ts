/**
 * Memory that sockets of one thread read into. Chunks are handled before the next read, so that one buffer serves
 * all sockets of a side; idle sockets hold none. Big reads are what makes a relay cheap (bench/README.md).
 */
export const DC_READ_BYTES: number = 256 * 1024
/** Uploads come in smaller pieces: clients' records are about 2.9 KiB. */
export const CLIENT_READ_BYTES: number = 128 * 1024

export interface ReadBuffers {
  readonly client: Buffer
  readonly dc: Buffer
}

/** For one thread; pages that no read has touched cost nothing. */
export function createReadBuffers(): ReadBuffers {
  return {
    client: Buffer.allocUnsafeSlow(CLIENT_READ_BYTES),
    dc: Buffer.allocUnsafeSlow(DC_READ_BYTES),
  }
}
