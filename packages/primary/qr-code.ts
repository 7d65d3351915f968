import { encode } from 'uqr'

/** What the standard asks for (ISO/IEC 18004 §6.3.8). */
const STANDARD_MARGIN_MODULES = 4
/** Phones read 2, and a terminal has few lines to spare. */
const TERMINAL_MARGIN_MODULES = 2
/** Black on white whatever the colours of the terminal are: not every camera app reads an inverted code. */
const BLACK_ON_WHITE = '\u001b[30;107m'
const RESET = '\u001b[0m'

/** A square of modules, margin included: `rows[y][x]`, true for dark. */
export interface QrModules {
  readonly rows: readonly (readonly boolean[])[]
  readonly size: number
}

/** The modules of a QR code with the margin that images need. */
export function encodeQrCode(text: string, marginModules: number = STANDARD_MARGIN_MODULES): QrModules {
  // L is enough on a screen, and the encoder raises the level as far as the same size allows.
  const { data, size } = encode(text, { border: marginModules, ecc: 'L', boostEcc: true })
  return { rows: data, size }
}

/**
 * A QR code for a terminal: two modules a character, by half blocks.
 * @returns undefined if it is wider than `columns`, for a broken code helps nobody
 */
export function drawQrCode(text: string, columns: number): string | undefined {
  const { rows, size } = encodeQrCode(text, TERMINAL_MARGIN_MODULES)
  if (size > columns) return undefined
  const lines: string[] = []
  for (let row = 0; row < size; row += 2) {
    const upper = rows[row] ?? []
    const lower = rows[row + 1] ?? []
    const blocks = upper.map((dark, column) => chooseBlock(dark, lower[column] ?? false))
    lines.push(`${BLACK_ON_WHITE}${blocks.join('')}${RESET}`)
  }
  return lines.join('\n')
}

function chooseBlock(upper: boolean, lower: boolean): string {
  if (upper) return lower ? '█' : '▀'
  return lower ? '▄' : ' '
}
