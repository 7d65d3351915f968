import { writeFile } from 'node:fs/promises'
import { extname } from 'node:path'

import { UsageError } from '#primary/exit'
import { OperatorError } from '#shared/errors'

import { buildQrPng } from './qr-png.ts'
import { buildQrSvg } from './qr-svg.ts'
import { errorCode } from '#primary/error-code'

/** The image holds a secret: nobody but its owner reads it. */
const OWNER_ONLY = 0o600

const BUILDERS: Readonly<Record<string, (text: string) => string | Buffer>> = {
  '.svg': buildQrSvg,
  '.png': buildQrPng,
}

/** @throws UsageError when the ending of the name tells no format we write */
export function checkQrFileName(path: string): void {
  if (BUILDERS[extname(path).toLowerCase()] === undefined)
    throw new UsageError(`cannot tell the format of ${path}: its name must end in .svg or .png`)
}

/**
 * Write a QR code as an image in the format that the ending tells.
 * @throws UsageError for another ending, OperatorError when the file cannot be written
 */
export async function writeQrFile(path: string, text: string): Promise<void> {
  checkQrFileName(path)
  const image = BUILDERS[extname(path).toLowerCase()]?.(text) ?? ''
  try {
    await writeFile(path, image, { mode: OWNER_ONLY })
  } catch (error) {
    const code = errorCode(error)
    throw new OperatorError(`cannot write ${path}: ${code || String(error)}`, { cause: error })
  }
}
