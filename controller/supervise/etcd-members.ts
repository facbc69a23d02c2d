/**
 * One member of an etcd cluster whose members are known beforehand.
 * https://etcd.io/docs/v3.5/op-guide/clustering/#static
 *
 * Members speak TLS to each other, both ways, and take nobody for a member whose certificate is not a controller's:
 * nodes and people have certificates of the same authority.
 */
import { access, readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { isDeepStrictEqual } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import { CONTROLLER_HOST } from '../../proto/rpc/rpc.ts'
import type { TlsFiles } from '../config.ts'
import { othersOf, urlOf, type Membership } from './membership.ts'

/** Milliseconds for a member's answer. */
const ASK_TIMEOUT = 1_000

/** How the cluster stands to a member that has no data. */
export type InitialClusterState = 'new' | 'existing'

export function memberArguments(
  { self, members, tls }: Membership,
  port: number,
  beginning: InitialClusterState,
): string[] {
  const url = urlOf(self.address, port)
  return [
    '--name',
    self.name,
    '--listen-peer-urls',
    url,
    '--initial-advertise-peer-urls',
    url,
    '--initial-cluster',
    members.map(({ name, address }) => `${name}=${urlOf(address, port)}`).join(','),
    '--initial-cluster-state',
    beginning,
    '--peer-cert-file',
    tls.cert,
    '--peer-key-file',
    tls.key,
    '--peer-trusted-ca-file',
    tls.ca,
    '--peer-client-cert-auth',
    // The name stands in every controller's certificate and in no other. A member may call from any of its machine's
    // addresses.
    '--peer-cert-allowed-hostname',
    CONTROLLER_HOST,
    '--experimental-peer-skip-client-san-verification',
    // A leader is missed after one to two seconds; shorter, and a busy machine's pause would cost a leader.
    '--heartbeat-interval',
    '100',
    '--election-timeout',
    '1000',
    '--pre-vote',
  ]
}

interface KnownMember {
  /** Hexadecimal, as etcdctl has it. */
  readonly id: string
  readonly name: string
  readonly peerURLs: readonly string[]
  /** Of one that has been part of the cluster. */
  readonly clientURLs: readonly string[]
}

/**
 * Whether a member without data is to form the cluster with the others, or to join it in a place that was made for it
 * (`etcdctl member add`). FailedPrecondition when it has been part of the cluster already: its data are lost, with what
 * it had promised the others, and it must not vote as if it had not.
 */
export async function initialClusterState(membership: Membership, port: number): Promise<InitialClusterState> {
  const { self } = membership
  const tls = await readTls(membership.tls)
  const answers = await Promise.allSettled(
    othersOf(membership).map(({ address }) => askMembers(urlOf(address, port), tls)),
  )
  const own = [urlOf(self.address, port)]
  const known = answers
    .flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    .filter(({ peerURLs }) => isDeepStrictEqual(peerURLs, own))
  if (known.some(({ name, clientURLs }) => name === '' && clientURLs.length === 0)) return 'existing'
  const before = known.find(({ clientURLs }) => clientURLs.length > 0)
  if (before === undefined) return 'new'
  throw new GantryError(
    'FailedPrecondition',
    `the cluster knows ${self.name} (etcd member ${before.id}), but here are no data of it: they are lost`,
    {
      details: [
        {
          field: 'dataDir',
          message: 'has lost the data of etcd',
          remedy: `bring the data back; or, on the machine of another member, in the folder etcd of its data directory, run "etcdctl --endpoints unix://clients:0 member remove ${before.id}" and "etcdctl --endpoints unix://clients:0 member add ${self.name} --peer-urls ${own[0]}" (package etcd-client; again after some seconds while etcd says "unhealthy cluster"), then start this one again: it gets everything from the others`,
        },
      ],
    },
  )
}

/** True if so many members' etcd answer that they could agree on a leader; this one is taken to. */
export async function majorityReachable(membership: Membership, port: number): Promise<boolean> {
  const tls = await readTls(membership.tls)
  const answers = await Promise.allSettled(
    othersOf(membership).map(({ address }) => askMembers(urlOf(address, port), tls)),
  )
  return 1 + answers.filter(({ status }) => status === 'fulfilled').length > membership.members.length / 2
}

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw GantryError.from(thrown)
  }
}

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return { ca: ca!, cert: cert!, key: key! }
}

/** The members as one of them knows them: what etcd itself asks of its peers. */
function askMembers(url: string, tls: { ca: string; cert: string; key: string }): Promise<KnownMember[]> {
  return new Promise((resolve, reject) => {
    const call = request(
      `${url}/members`,
      { ...tls, servername: CONTROLLER_HOST, timeout: ASK_TIMEOUT, agent: false },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          if (response.statusCode !== 200)
            return reject(new GantryError('Unavailable', `etcd at ${url} answered ${response.statusCode}`))
          try {
            resolve(parseMembers(Buffer.concat(chunks).toString()))
          } catch (thrown) {
            reject(GantryError.from(thrown))
          }
        })
      },
    )
    call.on('timeout', () =>
      call.destroy(new GantryError('DeadlineExceeded', `etcd at ${url} did not answer within ${ASK_TIMEOUT} ms`)),
    )
    call.on('error', reject)
    call.end()
  })
}

/** Ids are numbers of 64 bits, which JSON.parse would round. */
function parseMembers(text: string): KnownMember[] {
  const list = JSON.parse(text.replace(/"id":(\d+)/g, '"id":"$1"')) as {
    id: string
    name?: string
    peerURLs?: string[]
    clientURLs?: string[]
  }[]
  return list.map(({ id, name = '', peerURLs = [], clientURLs = [] }) => ({
    id: BigInt(id).toString(16),
    name,
    peerURLs,
    clientURLs,
  }))
}
