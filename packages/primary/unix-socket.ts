import { once } from 'node:events'
import { link, lstat, rename, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { constants } from 'node:os'
import { errorCode } from './error-code.ts'

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

const ADDRESS_IN_USE = { code: 'EADDRINUSE', errno: -constants.errno.EADDRINUSE }

/** What the address of a UNIX socket can hold on every system (macOS: 104 bytes with the NUL). */
export const MAX_PATH_BYTES = 103

/**
 * Listen on a path that outlives the server: Node removes the name that it bound when it closes, and after an upgrade a
 * successor still answers there. So it binds another name, which is then given up for the real one. Whoever closes for
 * good removes the path.
 * @throws the system's error, EADDRINUSE when there is something at the path
 */
export async function listenOnPath(server: Server, path: string): Promise<void> {
  const bound = `${path}.${process.pid}`
  if (Buffer.byteLength(bound) > MAX_PATH_BYTES) return listenPlainly(server, path)
  // Of a process that had our number and was killed in here: in a container that is each one before us.
  if (await isSocket(bound)) await unlink(bound)
  await listenPlainly(server, bound)
  try {
    await link(bound, path)
  } catch (error) {
    server.close()
    const isThere = errorCode(error) === 'EEXIST'
    throw isThere ? Object.assign(new Error('address already in use'), ADDRESS_IN_USE) : error
  }
  await unlink(bound)
}

async function listenPlainly(server: Server, path: string): Promise<void> {
  server.listen(path)
  await once(server, 'listening')
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
    return errorCode(error) !== 'ECONNREFUSED'
  } finally {
    socket.destroy()
  }
}
