import type { Ciphers } from '#worker/obfuscated2/ctr-stream'
import { loadNativeCiphers } from '#worker/obfuscated2/load-native-ciphers'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'

/** Every way there is to do AES. On Linux koffi has to be there, or half of it would go untested without a word. */
export async function loadAllCiphers(): Promise<readonly Ciphers[]> {
  try {
    return [new NodeCiphers(), await loadNativeCiphers()]
  } catch (error) {
    if (process.platform === 'linux') throw error
    return [new NodeCiphers()]
  }
}
