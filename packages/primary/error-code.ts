/** `ENOENT`, `EADDRINUSE`: what the system or Node calls an error; empty for errors without such a name. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
