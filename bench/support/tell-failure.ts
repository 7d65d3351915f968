/** A program that speaks JSON lines to the one who started it says there why it ends: see child.ts. */
export function tellFailure(): void {
  process.on('uncaughtException', (error) => {
    process.stdout.write(`${JSON.stringify({ event: 'failed', message: error.message })}\n`)
    process.exit(1)
  })
}
