import { PNG } from 'pngjs'

import { encodeQrCode } from '#primary/qr-code'

/** Large enough that messengers and printers do not blur the edges when they scale it. */
const PIXELS_PER_MODULE = 8
const WHITE = 0xff
const GREYSCALE = 0

/** A QR code as a PNG image: black on white, 8 pixels a module, with the standard's margin. */
export function buildQrPng(text: string): Buffer {
  const { rows, size } = encodeQrCode(text)
  const side = size * PIXELS_PER_MODULE
  const options = {
    width: side,
    height: side,
    colorType: GREYSCALE,
    inputColorType: GREYSCALE,
    bitDepth: 8,
    inputHasAlpha: false,
  } as const
  const image = new PNG(options)
  image.data = Buffer.alloc(side * side, WHITE)
  for (const [y, row] of rows.entries()) {
    for (const [x, dark] of row.entries()) {
      if (!dark) continue
      for (let line = 0; line < PIXELS_PER_MODULE; line++) {
        const start = (y * PIXELS_PER_MODULE + line) * side + x * PIXELS_PER_MODULE
        image.data.fill(0, start, start + PIXELS_PER_MODULE)
      }
    }
  }
  return PNG.sync.write(image, options)
}
