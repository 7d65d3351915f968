import serve, { type ServeTask } from '#worker/serve'

/** The worker as it is, telling its number for every hand-off that it gets. */
export default async function serveAndTell(task: ServeTask): Promise<void> {
  const channel = new BroadcastChannel('spread-worker')
  // The first hand-off comes after the worker has said that it is ready.
  task.handOffPort.on('message', () => channel.postMessage(task.boot.thread))
  await serve(task)
  channel.close()
}
