/**
 * What does TLS framing cost: cutting what a data centre sends into records, and taking the client's records off? Each
 * beside a bare copy of the same bytes, CPU time of the thread, in rounds that take every case in turn; the median round
 * counts. Run: node bench/micro/framing.ts [--json]
 */
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import { framedBytes, frameRecords } from '#worker/fake-tls/record'
import { buildRecords, TDLIB_RECORD_PAYLOAD_BYTES } from '../../test/support/faketls-client.ts'

const ROUNDS = 5
/** Some kernels count processor time in ticks of 4 ms: less than 2 % of a round. */
const ROUND_MS = 250
/** Between two looks at the clock: at least a hundred microseconds of work. */
const CALLS_PER_BATCH = 100
/** From one small read to the most that a pair holds back. */
const READ_BYTES = [16, 32, 64, 128, 256].map((kib) => kib * 1024)
/** Reads of the client's side; records are cut at their edges. */
const CHUNK_BYTES = 64 * 1024

interface Case {
  readonly name: string
  readonly bytes: number
  /** Per call. */
  readonly records: number
  readonly run: () => void
}

interface Figure {
  readonly name: string
  readonly nsPerByte: number
  readonly nsPerRecord: number
}

/** The first round warms up and is not counted. */
function measure(cases: readonly Case[]): Figure[] {
  const rounds = cases.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [at, { run }] of cases.entries()) {
      const before = process.threadCpuUsage()
      const endMs = performance.now() + ROUND_MS
      let calls = 0
      for (; performance.now() < endMs; calls += CALLS_PER_BATCH)
        for (let i = 0; i < CALLS_PER_BATCH; i++) run()
      const { user, system } = process.threadCpuUsage(before)
      if (round > 0) rounds[at]?.push(((user + system) * 1000) / calls)
    }
  }
  return cases.map(({ name, bytes, records }, at) => {
    const nsPerCall = median(rounds[at] ?? [])
    return { name, nsPerByte: nsPerCall / bytes, nsPerRecord: nsPerCall / records }
  })
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

function frameCases(bytes: number): Case[] {
  const payload = Buffer.alloc(bytes, 1)
  const target = Buffer.alloc(framedBytes(bytes))
  const records = (target.length - bytes) / 5
  const kib = `${bytes / 1024} KiB`
  return [
    { name: `frameRecords, ${kib}`, bytes, records, run: () => void frameRecords(target, payload) },
    { name: `copy alone, ${kib}`, bytes, records, run: () => void payload.copy(target, 0) },
  ]
}

/**
 * The decoder moves payload within its chunk, so every call needs the wire bytes anew: `copy alone` is what that takes
 * of the figure.
 */
function decodeCases(): Case[] {
  const perChunk = Math.floor(CHUNK_BYTES / (TDLIB_RECORD_PAYLOAD_BYTES + 5))
  const bytes = perChunk * TDLIB_RECORD_PAYLOAD_BYTES
  const wire = buildRecords(Buffer.alloc(bytes, 1), TDLIB_RECORD_PAYLOAD_BYTES)
  const chunk = Buffer.alloc(wire.length)
  const decoder = new RecordDecoder()
  const decode = (): void => {
    wire.copy(chunk)
    if (decoder.decode(chunk) !== bytes) throw new Error('payload was lost')
  }
  const name = `records of ${TDLIB_RECORD_PAYLOAD_BYTES} bytes`
  return [
    { name: `RecordDecoder, ${name}`, bytes, records: perChunk, run: decode },
    { name: `copy alone, ${name}`, bytes, records: perChunk, run: () => void wire.copy(chunk) },
  ]
}

const figures = measure([...READ_BYTES.flatMap(frameCases), ...decodeCases()])
if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'framing', figures }))
else
  for (const { name, nsPerByte, nsPerRecord } of figures) {
    const perRecord = `${nsPerRecord.toFixed(0).padStart(6)} ns per record`
    console.log(`${name.padEnd(38)} ${nsPerByte.toFixed(4)} ns per byte ${perRecord}`)
  }
