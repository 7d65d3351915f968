import type { Figures, Measurement } from './scenario.ts'

/** Processor time of the proxy for one unit of the load, times `scale`; NaN when its process is not known. */
export function cpuPerUnit(
  { cpu, load }: Measurement,
  names: { readonly total: string; readonly workers?: string; readonly primary?: string },
  scale: number,
): Figures {
  const per = (seconds: number | undefined): number => ((seconds ?? Number.NaN) / load.units) * scale
  return {
    [names.total]: per(cpu?.total),
    ...(names.workers === undefined ? {} : { [names.workers]: per(cpu?.workers) }),
    ...(names.primary === undefined ? {} : { [names.primary]: per(cpu?.primary) }),
  }
}
