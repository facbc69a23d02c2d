/**
 * A rig's network in the engine: a bridge with addresses of the engine's choice, which then are fixed, so that each
 * machine can have its own.
 */
import type { JsonValue } from '../../../../proto/gen/types.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { NetworkRecord } from '../../contract.ts'
import { RIG_LABEL } from './container.ts'
import { engineError, hasStatus, type DockerClient } from '../../../docker-engine.ts'

export interface RigNetwork {
  /** The network's name in the engine. */
  readonly name: string
  /** First three numbers of its addresses; undefined until the engine chose. */
  readonly prefix?: string
}

/** How often another network may take the addresses between their choice and their use. */
const ATTEMPTS = 5

export function networkIn({ handle }: NetworkRecord): RigNetwork {
  return handle as unknown as RigNetwork
}

function recordOf(network: RigNetwork): NetworkRecord {
  return { handle: network as unknown as JsonValue }
}

function networkName(rig: string): string {
  return `gantry-${rig}`
}

/** The address of a machine by its number. */
export function addressIn(network: NetworkRecord, index: number): string {
  const { prefix } = networkIn(network)
  if (prefix === undefined) throw new GantryError('FailedPrecondition', "the rig's network is not made yet")
  return `${prefix}.${index}`
}

/**
 * Makes a rig's network. A container may ask for an address only where the network was made with a range, so the engine
 * is asked for a free one first.
 */
export async function makeNetwork(
  docker: DockerClient,
  rig: string,
  record: (network: NetworkRecord) => Promise<void>,
): Promise<NetworkRecord> {
  const name = networkName(rig)
  const options = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: { [RIG_LABEL]: rig } }
  await record(recordOf({ name }))
  for (let attempt = 1; ; attempt++) {
    try {
      const trial = await docker.createNetwork(options)
      const prefix = prefixOf(((await trial.inspect()) as Inspected).IPAM)
      await trial.remove()
      const network = recordOf({ name, prefix })
      await record(network)
      await docker.createNetwork({
        ...options,
        IPAM: { Driver: 'default', Config: [{ Subnet: `${prefix}.0/24`, Gateway: `${prefix}.1` }] },
      })
      return network
    } catch (thrown) {
      // 403 of a range that overlaps with one that was made meanwhile.
      if (!hasStatus(thrown, 403) || attempt === ATTEMPTS) throw engineError(thrown, `making the network ${name}`)
    }
  }
}

interface Inspected {
  readonly IPAM: { readonly Config?: readonly { readonly Subnet?: string }[] | null }
}

/** The first /24 of the IPv4 range that the engine chose. */
function prefixOf({ Config }: Inspected['IPAM']): string {
  const subnet = Config?.map(({ Subnet = '' }) => Subnet).find((text) => /^\d+\.\d+\.\d+\.\d+\/\d+$/.test(text))
  const [, prefix, bits] = /^(\d+\.\d+\.\d+)\.\d+\/(\d+)$/.exec(subnet ?? '') ?? []
  if (prefix === undefined || Number(bits) > 24)
    throw new GantryError(
      'FailedPrecondition',
      `the Docker engine gives a network ${subnet ?? 'no addresses'}: a rig needs 254 IPv4 addresses`,
      {
        details: [
          {
            field: 'default-address-pools',
            value: subnet ?? '',
            remedy:
              'let the engine give networks a /24: https://docs.docker.com/engine/network/#automatic-subnet-allocation',
          },
        ],
      },
    )
  return prefix
}
