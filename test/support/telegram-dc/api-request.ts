import type { tl } from '@mtcute/node'
import { type TlBinaryReader } from '@mtcute/node/utils.js'

import { fromLong } from './tl.ts'

/** Constructors of the calls that are understood (core.telegram.org/schema); client libraries only write them. */
const METHOD = {
  invokeWithLayer: 0xda9b0d0d,
  initConnection: 0xc1cd5ea9,
  invokeWithoutUpdates: 0xbf9459b7,
  getConfig: 0xc4f9186b,
  getNearestDc: 0x1fb33026,
  getState: 0xedd4882a,
  bindTempAuthKey: 0xcdd42a05,
  getFile: 0xbe5335be,
  saveFilePart: 0xb304a621,
  saveBigFilePart: 0xde7b673d,
} as const

export type ApiRequest =
  | { readonly method: 'help.getConfig' }
  | { readonly method: 'help.getNearestDc' }
  | { readonly method: 'updates.getState' }
  | {
      readonly method: 'auth.bindTempAuthKey'
      readonly permAuthKeyId: bigint
      readonly nonce: bigint
      readonly expiresAt: number
      readonly encryptedMessage: Buffer
    }
  | {
      readonly method: 'upload.getFile'
      readonly location: tl.TypeInputFileLocation
      readonly offset: number
      readonly limit: number
    }
  | {
      readonly method: 'upload.saveFilePart'
      readonly fileId: bigint
      readonly part: number
      readonly bytes: Buffer
    }
  | { readonly method: 'unknown'; readonly constructorId: number }

export type BindRequest = Extract<ApiRequest, { method: 'auth.bindTempAuthKey' }>

export interface ReceivedRequest {
  readonly request: ApiRequest
  /** Whether the call came inside initConnection. */
  readonly initialises: boolean
}

/** Read a call, out of what clients wrap around it. The reader stands at its constructor. */
export function readApiRequest(reader: TlBinaryReader): ReceivedRequest {
  let initialises = false
  for (;;) {
    const constructorId = reader.uint()
    switch (constructorId) {
      case METHOD.invokeWithLayer:
        reader.int()
        break
      case METHOD.initConnection:
        skipInitConnection(reader)
        initialises = true
        break
      case METHOD.invokeWithoutUpdates:
        break
      default:
        return { request: readMethod(constructorId, reader), initialises }
    }
  }
}

/** `flags api_id device_model system_version app_version system_lang_code lang_pack lang_code proxy? params?` */
function skipInitConnection(reader: TlBinaryReader): void {
  const flags = reader.uint()
  reader.int()
  for (let field = 0; field < 6; field++) reader.string()
  if (flags & 1) reader.object()
  if (flags & 2) reader.object()
}

function readMethod(constructorId: number, reader: TlBinaryReader): ApiRequest {
  switch (constructorId) {
    case METHOD.getConfig:
      return { method: 'help.getConfig' }
    case METHOD.getNearestDc:
      return { method: 'help.getNearestDc' }
    case METHOD.getState:
      return { method: 'updates.getState' }
    case METHOD.bindTempAuthKey:
      return {
        method: 'auth.bindTempAuthKey',
        permAuthKeyId: fromLong(reader.long()),
        nonce: fromLong(reader.long()),
        expiresAt: reader.int(),
        encryptedMessage: Buffer.from(reader.bytes()),
      }
    case METHOD.getFile: {
      reader.uint() // flags: precise, cdn_supported
      // The schema allows nothing else here.
      const location = reader.object() as tl.TypeInputFileLocation
      return { method: 'upload.getFile', location, offset: reader.int53(), limit: reader.int() }
    }
    case METHOD.saveFilePart:
    case METHOD.saveBigFilePart: {
      const fileId = fromLong(reader.long())
      const part = reader.int()
      if (constructorId === METHOD.saveBigFilePart) reader.int() // file_total_parts
      // A copy: the reader hands out a view of a packet that is not kept.
      return { method: 'upload.saveFilePart', fileId, part, bytes: Buffer.from(reader.bytes()) }
    }
    default:
      return { method: 'unknown', constructorId }
  }
}
