import assert from 'node:assert/strict'

/** Runs `step` on a thread that dies before its `writes`-th write to shared memory; false when it lived to the end. */
export function dieBefore(writes: number, step: () => void): boolean {
  const death = new Error('death')
  const { add, sub, store, compareExchange } = Atomics
  let left = writes
  const count =
    <A extends unknown[], R>(operation: (...operands: A) => R) =>
    (...operands: A): R => {
      if (left-- === 0) throw death
      return operation(...operands)
    }
  Object.assign(Atomics, {
    add: count(add as (...operands: unknown[]) => unknown), // one signature for both kinds of array
    sub: count(sub as (...operands: unknown[]) => unknown),
    store: count(store as (...operands: unknown[]) => unknown),
    compareExchange: count(compareExchange as (...operands: unknown[]) => unknown),
  })
  try {
    step()
    return false
  } catch (error) {
    assert.equal(error, death)
    return true
  } finally {
    Object.assign(Atomics, { add, sub, store, compareExchange })
  }
}
