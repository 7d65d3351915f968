import type { tl } from '@mtcute/node'

import type { ApiRequest, BindRequest } from './api-request.ts'
import { buildTestFileBytes } from './test-file.ts'
import { serialize, uint32, TL } from './tl.ts'

/** core.telegram.org/api/files: offset and limit are multiples of 4 KiB, and a part lies within one MiB. */
const PART_ALIGNMENT_BYTES = 4096
const MAX_PART_BYTES = 1024 * 1024
/** Longer than any test runs, so that no client asks for the configuration twice. */
const CONFIG_LIFE_S = 3600
const DC_IDS = [1, 2, 3, 4, 5]

/** Parts of the files that clients have sent, by file id and part number. */
export type Uploads = Map<bigint, Map<number, Buffer>>

/** Binding a temporary key needs the keys, which calls of the API know nothing about. */
export type PlainApiRequest = Exclude<ApiRequest, BindRequest>

/** The result of a call as TL, an rpc_error included. */
export function answerRequest(dcId: number, uploads: Uploads, request: PlainApiRequest): Uint8Array {
  switch (request.method) {
    case 'help.getConfig':
      return serialize(buildConfig(dcId))
    case 'help.getNearestDc':
      return serialize({
        _: 'nearestDc',
        country: 'NL',
        thisDc: dcId,
        nearestDc: dcId,
      })
    case 'updates.getState':
      return buildRpcError(401, 'AUTH_KEY_UNREGISTERED') // nobody is logged in
    case 'upload.getFile':
      return answerGetFile(dcId, request.location, request.offset, request.limit)
    case 'upload.saveFilePart': {
      const parts = uploads.get(request.fileId) ?? new Map<number, Buffer>()
      parts.set(request.part, request.bytes)
      uploads.set(request.fileId, parts)
      return uint32(TL.boolTrue)
    }
    case 'unknown':
      break
  }
  return buildRpcError(400, `INPUT_METHOD_INVALID_${request.constructorId}`)
}

export function buildRpcError(errorCode: number, errorMessage: string): Uint8Array {
  return serialize({ _: 'mt_rpc_error', errorCode, errorMessage })
}

/** The only file there is: a document whose id is its size in bytes. */
function answerGetFile(
  dcId: number,
  location: tl.TypeInputFileLocation,
  offset: number,
  limit: number,
): Uint8Array {
  if (location._ !== 'inputDocumentFileLocation') return buildRpcError(400, 'LOCATION_INVALID')
  if (offset % PART_ALIGNMENT_BYTES !== 0) return buildRpcError(400, 'OFFSET_INVALID')
  const firstMib = Math.floor(offset / MAX_PART_BYTES)
  const lastMib = Math.floor((offset + limit - 1) / MAX_PART_BYTES)
  if (limit <= 0 || limit % PART_ALIGNMENT_BYTES !== 0 || firstMib !== lastMib) {
    return buildRpcError(400, 'LIMIT_INVALID')
  }
  const length = Math.max(0, Math.min(limit, location.id.toNumber() - offset))
  return serialize({
    _: 'upload.file',
    type: { _: 'storage.fileUnknown' },
    mtime: 0,
    bytes: buildTestFileBytes(dcId, offset, length),
  })
}

/**
 * Every data centre, once for calls and once for media, at an address that refuses: whoever asks has to come through a
 * proxy, which knows the addresses itself.
 */
function buildConfig(dcId: number): tl.RawConfig {
  const date = Math.floor(Date.now() / 1000)
  const dcOptions = DC_IDS.flatMap((id): tl.RawDcOption[] => [
    { _: 'dcOption', id, ipAddress: '127.0.0.1', port: 1 },
    { _: 'dcOption', id, ipAddress: '127.0.0.1', port: 1, mediaOnly: true },
  ])
  return {
    _: 'config',
    date,
    expires: date + CONFIG_LIFE_S,
    testMode: false,
    thisDc: dcId,
    dcOptions,
    dcTxtDomainName: '',
    chatSizeMax: 200,
    megagroupSizeMax: 200_000,
    forwardedCountMax: 100,
    onlineUpdatePeriodMs: 210_000,
    offlineBlurTimeoutMs: 5000,
    offlineIdleTimeoutMs: 30_000,
    onlineCloudTimeoutMs: 300_000,
    notifyCloudDelayMs: 30_000,
    notifyDefaultDelayMs: 1500,
    pushChatPeriodMs: 60_000,
    pushChatLimit: 2,
    editTimeLimit: 172_800,
    revokeTimeLimit: 2_147_483_647,
    revokePmTimeLimit: 2_147_483_647,
    ratingEDecay: 2_419_200,
    stickersRecentLimit: 200,
    channelsReadMediaPeriod: 604_800,
    callReceiveTimeoutMs: 20_000,
    callRingTimeoutMs: 90_000,
    callConnectTimeoutMs: 30_000,
    callPacketTimeoutMs: 10_000,
    meUrlPrefix: 'https://t.me/',
    captionLengthMax: 1024,
    messageLengthMax: 4096,
    webfileDcId: dcId,
  }
}
