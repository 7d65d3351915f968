/** A line on a terminal that says what is still being waited for. Elsewhere it writes nothing. */
export class Progress {
  readonly #output: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number }
  readonly #waiting: Set<string>
  #isShown: boolean

  constructor(
    output: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number },
    titles: readonly string[],
  ) {
    this.#output = output
    this.#waiting = new Set(titles)
    this.#isShown = false
  }

  finish(title: string): void {
    this.#waiting.delete(title)
    this.show()
  }

  show(): void {
    this.hide()
    const [first, ...others] = this.#waiting
    if (this.#output.isTTY !== true || first === undefined) return
    const more = others.length > 0 ? ` and ${others.length} more` : ''
    const text = `waiting: ${first}${more}`
    // A line that wraps could not be taken back.
    this.#output.write(text.slice(0, (this.#output.columns ?? 80) - 1))
    this.#isShown = true
  }

  /** Make room for what is printed now. */
  hide(): void {
    if (this.#isShown) this.#output.write('\r\u001b[K')
    this.#isShown = false
  }
}
