/**
 * A registry that fails as registries do, by a proxy in front of the rig's. What it was asked before and is under way
 * is cut.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { REGISTRY_PORT } from '../layout.ts'
import { defineFault, type FaultContext, type Values } from './contract.ts'
import { endPrograms, renewPrograms, startPrograms, type FaultProgramSpec } from './fault-program.ts'
import { REGISTRY_CONTENTS, REGISTRY_FAULTS, type RegistryContent, type RegistryFault } from './program/task.ts'
import { tcpRedirects } from './redirect.ts'

/** Milliseconds of the Retry-After that comes with 429. */
const RETRY_AFTER = 1_000

const parameters = {
  mode: {
    type: 'choice',
    choices: REGISTRY_FAULTS,
    required: true,
    operand: 0,
    says: 'how it fails: late or slow, 429 with Retry-After, 500, the connection cut in the middle of a body, or a body altered so that its digest is wrong',
  },
  share: { type: 'share', says: 'share of the requests; all unless given' },
  only: { type: 'choice', choices: REGISTRY_CONTENTS, says: 'only requests for these' },
  from: { type: 'machines', says: 'only requests of these machines' },
  latency: { type: 'duration', says: 'slow: how long a request is held up' },
  rate: { type: 'rate', says: 'slow: bytes a second of each answer' },
  retryAfter: { type: 'duration', says: '429: what Retry-After says, in whole seconds; 1s unless given' },
} as const
type RegistryValues = Values<typeof parameters>

export const registryFault = defineFault({
  kind: 'registry',
  says: 'let the registry fail: slow, 429, 500, cut, wrong digest',
  parameters,
  examples: [
    'registry 500 --share 30%',
    'registry slow --latency 2s --only manifests',
    'registry cut --only blobs --from n1 --for 20s',
  ],
  describe: ({ mode, share, only, from, latency, rate }) =>
    [
      `the registry: ${mode}`,
      ...(latency === undefined ? [] : [`${latency} ms`]),
      ...(rate === undefined ? [] : [`${rate} bytes/s`]),
      ...(share === undefined ? [] : [`for ${share * 100}% of requests`]),
      ...(only === undefined ? [] : [`for ${only}`]),
      ...(from === undefined ? [] : [`for ${from.join(', ')}`]),
    ].join(' '),

  async begin(field, values, { id, record }) {
    check(values)
    refuseTwice(field, values)
    return {
      undo: await startPrograms(field, id, [proxyOf(field, values)], record),
      note: 'by a proxy in front of the registry',
    }
  },

  end: (field, undo) => endPrograms(field, undo),

  renew: (field, undo, values, machine) => renewPrograms(field, undo, [proxyOf(field, values)], machine),
})

function check({ mode, latency, rate, retryAfter }: RegistryValues): void {
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new GantryError('InvalidArgument', message, { details: [{ field, message, remedy }] })
  }
  if (mode === 'slow' && (latency ?? 0) === 0 && rate === undefined)
    refuse('latency', 'slow needs a latency or a rate', 'such as --latency 2s, or --rate 100k')
  if (mode !== 'slow' && latency !== undefined)
    refuse('latency', `${mode} takes no latency`, 'leave it out, or use slow')
  if (mode !== 'slow' && rate !== undefined) refuse('rate', `${mode} takes no rate`, 'leave it out, or use slow')
  if (mode !== '429' && retryAfter !== undefined)
    refuse('retryAfter', `${mode} says nothing of when to try again`, 'leave it out, or use 429')
}

function proxyOf(
  { machines }: FaultContext,
  { mode, share = 1, only, from, latency, rate, retryAfter = RETRY_AFTER }: RegistryValues,
): FaultProgramSpec {
  const machine = machines.find(({ spec }) => spec.role === 'registry')
  if (machine === undefined)
    throw new GantryError('FailedPrecondition', 'the rig has no registry', {
      details: [{ remedy: 'make the rig anew' }],
    })
  const sources =
    from === undefined
      ? undefined
      : machines.filter(({ spec }) => from.includes(spec.name)).map(({ address }) => address)
  return {
    machine,
    task: {
      mode: 'registry',
      host: machine.address,
      port: REGISTRY_PORT,
      fault: mode as RegistryFault,
      share,
      retryAfter: Math.ceil(retryAfter / 1000),
      ...(only === undefined ? {} : { only: only as RegistryContent }),
      ...(latency === undefined ? {} : { latency }),
      ...(rate === undefined ? {} : { rate }),
    },
    rules: ([proxy]) =>
      tcpRedirects([{ ...(sources === undefined ? {} : { sources }), port: REGISTRY_PORT, proxy: proxy! }]),
  }
}

/** A request goes through one proxy only. */
function refuseTwice({ others }: FaultContext, { from }: RegistryValues): void {
  for (const { id, kind, values } of others) {
    const theirs = (values as Partial<RegistryValues>).from
    if (
      kind !== 'registry' ||
      !(from === undefined || theirs === undefined || from.some((name) => theirs.includes(name)))
    )
      continue
    throw new GantryError(
      'FailedPrecondition',
      `the registry fails already for ${theirs?.join(', ') ?? 'everyone'}, by ${id}`,
      {
        details: [
          { field: 'from', value: from?.join(',') ?? '', remedy: `heal ${id} first, or name other machines (from)` },
        ],
      },
    )
  }
}
