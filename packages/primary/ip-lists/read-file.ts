import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

export interface FileText {
  readonly text: Buffer
  /** Another one when the file has been written or replaced. */
  readonly stamp: string
}

/**
 * A whole file, unless it is as it was.
 * @param unlessStamp of the copy we have
 * @returns null when the file still has that stamp
 * @throws Error when there is no such regular file, or it is larger than `maxBytes`
 */
export async function readFileText(
  path: string,
  maxBytes: number,
  unlessStamp: string | null = null,
): Promise<FileText | null> {
  // Without waiting: a pipe in its place would hold us up for ever.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await file.stat({ bigint: true })
    if (!stats.isFile()) throw new Error('not a regular file')
    if (stats.size > maxBytes) throw new Error(`larger than ${maxBytes} bytes`)
    const stamp = `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}`
    if (stamp === unlessStamp) return null
    const text = Buffer.allocUnsafe(Number(stats.size))
    let bytes = 0
    while (bytes < text.length) {
      const { bytesRead } = await file.read(text, bytes, text.length - bytes)
      if (bytesRead === 0) break // it became shorter meanwhile
      bytes += bytesRead
    }
    return { text: text.subarray(0, bytes), stamp }
  } finally {
    await file.close()
  }
}
