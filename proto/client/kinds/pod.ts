import type { Pod } from '../../gen/types.ts'
import { isReady } from '../../objects/pod.ts'
import { summarizePod } from '../../objects/columns/pod-status.ts'
import type { KindRecord } from './kind-record.ts'
import { containerPorts } from './ports.ts'
import { failed, ready, waiting, wordOf, type Readiness } from './readiness.ts'

export const pod: KindRecord<'Pod'> = {
  readiness: podReadiness,
  takesTime: true,
  describe: async (object, { now }) => (await import('../describe/pod.ts')).podEntries(object, now),
  inAll: 1,
  pods: { are: 'itself', selector: ({ metadata }) => ({ matchLabels: metadata.labels ?? {} }) },
  podSpec: { path: ['spec'], of: ({ spec }) => spec },
  ports: ({ spec }) => containerPorts(spec),
  deletionWaitsFor: () => 'its node to confirm',
}

function podReadiness(object: Pod): Readiness {
  const word = wordOf(object)
  const { phase, message } = object.status
  if (phase === 'Failed') return failed(`${word} failed: ${message ?? summarizePod(object).status}`)
  const done = phase === 'Succeeded' || isReady(object)
  return done ? ready(`${word} is ready`) : waiting(`${word}: ${summarizePod(object).status}`)
}
