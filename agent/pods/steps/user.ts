/** Who a container runs as: from the pod, the container, the image, and the image's own /etc/passwd and /etc/group. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { ContainerSpec } from '../../runtime/contract.ts'

/** Texts of the files within the image; '' if it has none. https://man7.org/linux/man-pages/man5/passwd.5.html */
export interface AccountFiles {
  readonly passwd: string
  readonly group: string
}

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}
interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

const ID = /^\d+$/
/** As securityContext has it; a larger one could mean another user to the kernel, whose ids have 32 bits. */
const LARGEST_ID = 2 ** 31 - 1

function accounts(text: string): Account[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':')
    return ID.test(uid) && ID.test(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
}

function groups(text: string): Group[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.trim().split(':')
    return ID.test(gid)
      ? [{ name, gid: Number(gid), members: members.split(',').filter((member) => member !== '') }]
      : []
  })
}

/**
 * FailedPrecondition: the image names a user or group that it does not have, or the container must not run as root and
 * would.
 * https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
 */
export function resolveUser(
  pod: Pod,
  container: Container,
  imageUser: string,
  files: AccountFiles,
): ContainerSpec['user'] {
  const wanted = { ...pod.spec.securityContext, ...withoutUndefined(container.securityContext ?? {}) }
  const known = accounts(files.passwd)
  const knownGroups = groups(files.group)
  const [userText = '', groupText = ''] =
    wanted.runAsUser === undefined ? imageUser.split(':') : [String(wanted.runAsUser)]
  const account =
    ID.test(userText) || userText === ''
      ? known.find((other) => other.uid === Number(userText))
      : known.find((other) => other.name === userText)
  if (account === undefined && !ID.test(userText) && userText !== '')
    throw new GantryError('FailedPrecondition', `the image's user "${userText}" is not in its /etc/passwd`)
  const uid = account?.uid ?? Number(userText)
  const gid = wanted.runAsGroup ?? (groupText === '' ? (account?.gid ?? 0) : groupId(groupText, knownGroups))
  for (const id of [uid, gid])
    if (id > LARGEST_ID)
      throw new GantryError(
        'FailedPrecondition',
        `the image's user "${imageUser}" has the id ${id}, larger than ${LARGEST_ID}`,
      )
  if (wanted.runAsNonRoot === true && uid === 0)
    throw new GantryError('FailedPrecondition', 'container has runAsNonRoot and would run as root (user 0)')
  const { supplementalGroups = [], supplementalGroupsPolicy, fsGroup } = pod.spec.securityContext
  const member =
    supplementalGroupsPolicy === 'Strict' || account === undefined
      ? []
      : knownGroups.filter((group) => group.members.includes(account.name)).map((group) => group.gid)
  // The primary group as well: a file that the group is kept from by its mode must not open to a process for lack of it
  // (CVE-2022-36109).
  const additionalGids = [
    ...new Set([gid, ...member, ...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup])]),
  ]
  return { uid, gid, additionalGids }
}

function groupId(text: string, known: readonly Group[]): number {
  if (ID.test(text)) return Number(text)
  const group = known.find((other) => other.name === text)
  if (group === undefined)
    throw new GantryError('FailedPrecondition', `the image's group "${text}" is not in its /etc/group`)
  return group.gid
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Partial<T>
}
