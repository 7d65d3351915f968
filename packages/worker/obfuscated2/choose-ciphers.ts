import type { CipherChoice } from '#shared/config'
import type { Ciphers } from './ctr-stream.ts'
import { loadNativeCiphers } from './load-native-ciphers.ts'
import { NodeCiphers } from './node-ciphers.ts'
import { testCiphers } from './test-ciphers.ts'

export interface ChosenCiphers {
  readonly ciphers: Ciphers
  /** Why they are not the native ones, where those were wanted. */
  readonly reason: string | null
}

/**
 * The ciphers of a thread by `[performance] cipher`. Native ones have to pass the self-test first. Never rejects: node:crypto
 * is always there.
 */
export async function chooseCiphers(
  choice: CipherChoice,
  load: typeof loadNativeCiphers = loadNativeCiphers,
): Promise<ChosenCiphers> {
  if (choice === 'node') return useNode(null)
  try {
    const ciphers = await load()
    testCiphers(ciphers)
    return { ciphers, reason: null }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') {
      return useNode('the optional package koffi is not installed')
    }
    return useNode(error instanceof Error ? error.message : String(error))
  }
}

function useNode(reason: string | null): ChosenCiphers {
  return { ciphers: new NodeCiphers(), reason }
}
