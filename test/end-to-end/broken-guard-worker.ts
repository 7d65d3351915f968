import { LoopGuard } from '#shared/loop-guard'

/** A worker with a bug of ours on the way to the fronting site. */
LoopGuard.prototype.isOurs = () => {
  throw new TypeError('injected')
}

export { default } from '#worker/serve'
