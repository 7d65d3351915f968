/** A worker thread that counts handshakes of two sources in and out without pause. */
import { parentPort, workerData } from 'node:worker_threads'
import { Handshakes, type HandshakeLimits, type HandshakesMemory } from '#shared/state/handshakes'

interface Data {
  readonly memory: HandshakesMemory
  readonly thread: number
  readonly limits: HandshakeLimits
  /** As the threads themselves count: of either source now, the times there were too many, the admitted. */
  readonly seen: SharedArrayBuffer
  readonly turns: number
}

const { memory, thread, limits, seen: buffer, turns } = workerData as Data // what the test passes
const handshakes = new Handshakes(memory)
const seen = new Int32Array(buffer)
const held: { at: number; source: number }[] = []

for (let turn = 0; turn < turns; turn++) {
  const at = turn % 2
  const admission = handshakes.admit(thread, `192.0.2.${at}`, limits)
  if (admission.ok) {
    if (Atomics.add(seen, at, 1) >= limits.maxHandshakesPerAddress) Atomics.add(seen, 2, 1)
    Atomics.add(seen, 3, 1)
    held.push({ at, source: admission.source })
  }
  if (held.length < 3 && turn < turns - 3) continue
  const left = held.shift()
  if (left === undefined) continue
  Atomics.sub(seen, left.at, 1)
  handshakes.leave(thread, left.source)
}
for (const { at, source } of held) {
  Atomics.sub(seen, at, 1)
  handshakes.leave(thread, source)
}
parentPort?.postMessage('done')
