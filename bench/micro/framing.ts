/**
 * What does TLS framing cost: cutting what a data centre sends into records, and taking the client's records off? Each
 * beside a bare copy of the same bytes, CPU time of the thread, in rounds that take every case in turn; the median round
 * counts. Run: node bench/micro/framing.ts [--json] [--quick]
 */
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import { framedBytes, frameRecords } from '#worker/fake-tls/record'
import { buildRecords, TDLIB_RECORD_PAYLOAD_BYTES } from '../../test/support/faketls-client.ts'
import { type Case, IS_QUICK, measureCases, repeat } from '../support/micro.ts'

const CALLS_PER_BATCH = IS_QUICK ? 2 : 100
/** From one small read to the most that a pair holds back. */
const READ_BYTES = [16, 32, 64, 128, 256].map((kib) => kib * 1024)
/** Reads of the client's side; records are cut at their edges. */
const CHUNK_BYTES = 64 * 1024

interface Framing extends Case {
  readonly bytes: number
  /** Per call. */
  readonly records: number
}

function frameCases(bytes: number): Framing[] {
  const payload = Buffer.alloc(bytes, 1)
  const target = Buffer.alloc(framedBytes(bytes))
  const records = (target.length - bytes) / 5
  const kib = `${bytes / 1024} KiB`
  return [
    {
      bytes,
      records,
      ...repeat(`frameRecords, ${kib}`, CALLS_PER_BATCH, () => void frameRecords(target, payload)),
    },
    { bytes, records, ...repeat(`copy alone, ${kib}`, CALLS_PER_BATCH, () => void payload.copy(target, 0)) },
  ]
}

/**
 * The decoder moves payload within its chunk, so every call needs the wire bytes anew: `copy alone` is what that takes
 * of the figure.
 */
function decodeCases(): Framing[] {
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
    { bytes, records: perChunk, ...repeat(`RecordDecoder, ${name}`, CALLS_PER_BATCH, decode) },
    {
      bytes,
      records: perChunk,
      ...repeat(`copy alone, ${name}`, CALLS_PER_BATCH, () => void wire.copy(chunk)),
    },
  ]
}

const cases = [...READ_BYTES.flatMap(frameCases), ...decodeCases()]
const figures = (await measureCases(cases)).map(({ name, nsPerCall }, at) => ({
  name,
  nsPerByte: nsPerCall / (cases[at]?.bytes ?? Number.NaN),
  nsPerRecord: nsPerCall / (cases[at]?.records ?? Number.NaN),
}))
if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'framing', figures }))
else
  for (const { name, nsPerByte, nsPerRecord } of figures) {
    const perRecord = `${nsPerRecord.toFixed(0).padStart(6)} ns per record`
    console.log(`${name.padEnd(38)} ${nsPerByte.toFixed(4)} ns per byte ${perRecord}`)
  }
