/** What of WebAssembly's JavaScript interface is used; `@types/node` does not declare it, and not every Node has it. */
export interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (module: object, imports: { env: { memory: WasmMemory } }) => { exports: unknown }
  readonly Memory: new (pages: { initial: number; maximum: number }) => WasmMemory
}

export interface WasmMemory {
  /** Another one after `grow`; the one before is empty then. */
  readonly buffer: ArrayBuffer
  /** @throws RangeError when there is no memory for it, or above the maximum */
  grow(pages: number): number
}

/** null with `--jitless` and the like. */
export function findWebAssembly(): WebAssemblyApi | null {
  // The global's type comes with the DOM's, which is not ours.
  return (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly ?? null
}
