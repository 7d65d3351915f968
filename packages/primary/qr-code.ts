import { encode } from 'uqr'

/** The standard asks for 4 modules of margin; phones read 2, and a terminal has few lines to spare. */
const MARGIN_MODULES = 2
/** Black on white whatever the colours of the terminal are: not every camera app reads an inverted code. */
const BLACK_ON_WHITE = '\u001b[30;107m'
const RESET = '\u001b[0m'

/**
 * A QR code for a terminal: two modules a character, by half blocks.
 * @returns undefined if it is wider than `columns`, for a broken code helps nobody
 */
export function drawQrCode(text: string, columns: number): string | undefined {
  const { data, size } = encode(text, { border: MARGIN_MODULES, ecc: 'L' })
  if (size > columns) return undefined
  const lines: string[] = []
  for (let row = 0; row < size; row += 2) {
    const upper = data[row] ?? []
    const lower = data[row + 1] ?? []
    const blocks = upper.map((dark, column) => chooseBlock(dark, lower[column] ?? false))
    lines.push(`${BLACK_ON_WHITE}${blocks.join('')}${RESET}`)
  }
  return lines.join('\n')
}

function chooseBlock(upper: boolean, lower: boolean): string {
  if (upper) return lower ? '█' : '▀'
  return lower ? '▄' : ' '
}
