import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { FakeTlsClient } from '../support/faketls-client.ts'
import { patternSlice } from '../support/stream-dc.ts'

export const MIB: number = 1024 * 1024
const STEP_BYTES = 256 * 1024

/** What a `source` data centre is asked with. */
export function buildRequest(bytes: number): Buffer {
  const request = Buffer.alloc(8)
  request.writeBigUInt64LE(BigInt(bytes))
  return request
}

/** Read bytes of the pattern and compare every one. */
export async function readPattern(client: FakeTlsClient, bytes: number, from = 0): Promise<void> {
  for (let at = from; at < from + bytes; at += STEP_BYTES) {
    const n = Math.min(STEP_BYTES, from + bytes - at)
    const got = await client.read(n)
    assert.ok(got.equals(patternSlice(at, n)), `bytes from ${at} to ${at + n} are those of the pattern`)
  }
}

/** Write bytes of the pattern as fast as they are taken. */
export async function writePattern(client: FakeTlsClient, bytes: number, pieces = STEP_BYTES): Promise<void> {
  for (let at = 0; at < bytes; at += pieces) {
    const piece = patternSlice(at, Math.min(pieces, bytes - at))
    if (!client.write(piece) && !client.socket.destroyed) await once(client.socket, 'drain')
  }
}

/** A number that has not moved for half a second: what could go on has gone on. */
export async function waitSteady(read: () => number | Promise<number>): Promise<number> {
  const STEADY_MS = 500
  let last = await read()
  let sinceMs = performance.now()
  while (performance.now() - sinceMs < STEADY_MS) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    const now = await read()
    if (now !== last) sinceMs = performance.now()
    last = now
  }
  return last
}
