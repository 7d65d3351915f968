import { NativeCiphers, type Evp } from './native-ciphers.ts'

/**
 * The OpenSSL that Node is built with, by way of koffi. Whether it does what it should is for `testCiphers`.
 * @throws Error when koffi is not installed or does not run here, or this Node does not let others call its OpenSSL
 */
export async function loadNativeCiphers(): Promise<NativeCiphers> {
  return new NativeCiphers(await loadEvp())
}

/** @throws Error as `loadNativeCiphers` */
export async function loadEvp(): Promise<Evp> {
  const { load } = await import('koffi')
  const node = load(null)
  // The border to the library, whose functions take and return anything.
  const fetchCipher = node.func('void *EVP_CIPHER_fetch(void *, const char *, const char *)') as (
    library: null,
    name: string,
    properties: null,
  ) => bigint | null
  const init = node.func('int EVP_EncryptInit_ex(void *, void *, void *, const void *, const void *)') as (
    context: bigint,
    cipher: bigint,
    engine: null,
    key: Uint8Array,
    iv: Uint8Array,
  ) => number
  const cipher = fetchCipher(null, 'AES-256-CTR', null)
  if (cipher === null) throw new Error('OpenSSL does not have AES-256-CTR')
  return {
    newContext: node.func('void *EVP_CIPHER_CTX_new()') as Evp['newContext'],
    freeContext: node.func('void EVP_CIPHER_CTX_free(void *)') as Evp['freeContext'],
    init: (context, key, iv) => init(context, cipher, null, key, iv),
    update: node.func('int EVP_EncryptUpdate(void *, void *, void *, const void *, int)') as Evp['update'],
  }
}
