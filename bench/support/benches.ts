import { download } from '../download.ts'
import { handshakes } from '../handshakes.ts'
import { idleMemory } from '../idle-memory.ts'
import { upload } from '../upload.ts'
import type { Bench } from './bench.ts'

export const BENCHES: readonly Bench[] = [handshakes, download, upload, idleMemory]

export function findBench(name: string): Bench {
  const bench = BENCHES.find((known) => known.name === name)
  if (bench === undefined) throw new Error(`no bench named ${name}`)
  return bench
}
