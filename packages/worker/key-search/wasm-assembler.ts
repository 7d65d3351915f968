/**
 * The few bytes of WebAssembly that the search needs, spelt as the specification names them (WebAssembly Core
 * Specification 2.0, §5 Binary Format; the v128 instructions stand in §5.4.8). Code is a list of bytes in stack order:
 * an operation takes the code of its operands and puts its own opcode behind.
 */
export type Code = readonly number[]

/** A function of i32 parameters that gives one i32 or nothing. */
export interface WasmFunction {
  /** Exported under it, if any. */
  readonly name: string | null
  readonly parameters: number
  readonly hasResult: boolean
  /** Locals behind the parameters, first those of i32, then those of v128. */
  readonly i32Locals: number
  readonly v128Locals: number
  readonly body: Code
}

export interface WasmModule {
  readonly functions: readonly WasmFunction[]
  /** What the imported memory holds from its first byte on. */
  readonly data: Uint8Array
  readonly minPages: number
  readonly maxPages: number
}

const I32 = 0x7f
const V128 = 0x7b
const END = 0x0b
const VOID_BLOCK = 0x40
/** Prefix of the vector instructions. */
const VECTOR = 0xfd
const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10, data: 11 } as const

/** LEB128 without sign. */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  return [...bytes, value]
}

/** LEB128 of a 32-bit integer with its sign. */
function signed(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  while (rest < -64 || rest > 63) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>= 7
  }
  return [...bytes, rest & 0x7f]
}

const vector = (opcode: number): number[] => [VECTOR, ...unsigned(opcode)]
/** log2 of the alignment, which is a hint only, and the offset that is added to the address. */
const memoryArgument = (offset: number): number[] => [2, ...unsigned(offset)]

export const getLocal = (index: number): Code => [0x20, ...unsigned(index)]
export const setLocal = (index: number, value: Code): Code => [...value, 0x21, ...unsigned(index)]
export const call = (index: number, ...values: readonly Code[]): Code => [
  ...values.flat(),
  0x10,
  ...unsigned(index),
]
/** Repeat the body for as long as the condition behind it is not zero. */
export const loopWhile = (body: Code, condition: Code): Code => [
  0x03,
  VOID_BLOCK,
  ...body,
  ...condition,
  0x0d, // to the loop's start, which is label 0
  0,
  END,
]

const binary =
  (...opcode: readonly number[]) =>
  (left: Code, right: Code): Code => [...left, ...right, ...opcode]

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load: (address: Code, offset: number): Code => [...address, 0x28, ...memoryArgument(offset)],
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    0x36,
    ...memoryArgument(offset),
  ],
  lessThan: binary(0x49),
  add: binary(0x6a),
  multiply: binary(0x6c),
  xor: binary(0x73),
  shiftRight: binary(0x76),
  rotateRight: binary(0x78),
} as const

export const v128 = {
  load: (address: Code, offset: number): Code => [...address, ...vector(0x00), ...memoryArgument(offset)],
  /** One 32-bit word in all four lanes. */
  loadSplat: (address: Code, offset: number): Code => [
    ...address,
    ...vector(0x09),
    ...memoryArgument(offset),
  ],
  store: (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    ...vector(0x0b),
    ...memoryArgument(offset),
  ],
  splat: (value: Code): Code => [...value, ...vector(0x11)],
  /** @param order of each byte of the result the byte of the value */
  shuffleBytes: (value: Code, order: readonly number[]): Code => [
    ...value,
    ...value,
    ...vector(0x0d),
    ...order,
  ],
  and: binary(...vector(0x4e)),
  or: binary(...vector(0x50)),
  xor: binary(...vector(0x51)),
  /** Of each bit the one of `ones` where the mask is 1, else the one of `zeros`. */
  select: (ones: Code, zeros: Code, mask: Code): Code => [...ones, ...zeros, ...mask, ...vector(0x52)],
  // As four lanes of 32 bits:
  equal: binary(...vector(0x37)),
  /** The highest bit of each lane, lane 0 in bit 0. */
  bitmask: (value: Code): Code => [...value, ...vector(0xa4)],
  shiftLeft: (value: Code, bits: number): Code => [...value, ...i32.const(bits), ...vector(0xab)],
  shiftRight: (value: Code, bits: number): Code => [...value, ...i32.const(bits), ...vector(0xad)],
  add: binary(...vector(0xae)),
} as const

/** The module's bytes. Its memory is imported as `env.memory`. */
export function assembleModule({ functions, data, minPages, maxPages }: WasmModule): Uint8Array<ArrayBuffer> {
  const exported = functions.flatMap(({ name }, index) => (name === null ? [] : [{ name, index }]))
  return Uint8Array.from([
    ...text('\0asm\x01\0\0\0'), // version 1
    ...section(SECTION.type, list(functions.map(encodeType))),
    // 02: a memory; 01: it has a maximum
    ...section(
      SECTION.import,
      list([[...named('env'), ...named('memory'), 0x02, 0x01, ...unsigned(minPages), ...unsigned(maxPages)]]),
    ),
    ...section(SECTION.function, list(functions.map((_, index) => unsigned(index)))),
    ...section(
      SECTION.export,
      list(exported.map(({ name, index }) => [...named(name), 0, ...unsigned(index)])),
    ),
    ...section(SECTION.code, list(functions.map(encodeBody))),
    // 00: active, in memory 0
    ...section(SECTION.data, list([[0x00, ...i32.const(0), END, ...unsigned(data.length), ...data]])),
  ])
}

const text = (value: string): number[] => [...Buffer.from(value, 'latin1')]
const named = (name: string): number[] => [...unsigned(name.length), ...text(name)]
const list = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, content: Code): number[] => [id, ...unsigned(content.length), ...content]

const encodeType = ({ parameters, hasResult }: WasmFunction): Code => [
  0x60,
  ...list(Array.from({ length: parameters }, () => [I32])),
  ...list(hasResult ? [[I32]] : []),
]

function encodeBody({ i32Locals, v128Locals, body }: WasmFunction): Code {
  const locals = list([
    [...unsigned(i32Locals), I32],
    [...unsigned(v128Locals), V128],
  ])
  return [...unsigned(locals.length + body.length + 1), ...locals, ...body, END]
}
