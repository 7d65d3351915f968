import { once } from 'node:events'
import { lstat, rename, unlink } from 'node:fs/promises'
import { connect } from 'node:net'

/**
 * Remove the socket file that a killed process has left behind: nobody could listen there again. A socket that somebody
 * serves stays, and so does anything that is no socket; listening then fails with the reason.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  if (!(await isSocket(path)) || (await isServed(path))) return
  // Somebody who starts in the same moment may have replaced it since: what is taken away is looked at once more.
  const aside = `${path}.${process.pid}`
  try {
    await rename(path, aside)
    await ((await isServed(aside)) ? rename(aside, path) : unlink(aside))
  } catch {
    // Listening fails with the reason.
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket()
  } catch {
    return false
  }
}

async function isServed(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    // Whoever may not connect cannot tell, and leaves it alone.
    return !(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')
  } finally {
    socket.destroy()
  }
}
