/** Capabilities of a container's first process, capabilities(7). */
import { GantryError } from '../../../proto/base/errors.ts'

/** In the kernel's order: the index is the bit (include/uapi/linux/capability.h). */
const ALL_CAPABILITIES =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST
  NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
  SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
  CHECKPOINT_RESTORE`.split(/\s+/)

/**
 * What a container gets unless it says otherwise: the usual fourteen
 * (https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities).
 */
const DEFAULT_CAPABILITIES =
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  )

/** The names of the bits set in a line "CapPrm: 000001ffffffffff" of /proc/<pid>/status. */
export function capabilityNames(mask: string): string[] {
  const bits = BigInt(`0x${mask}`)
  return ALL_CAPABILITIES.filter((_, bit) => (bits >> BigInt(bit)) & 1n)
}

/**
 * The set asked for, as "CAP_…" in the kernel's order. `available` is what the agent has itself: "ALL" and privileged
 * mean all of that. InvalidArgument for an unknown name, FailedPrecondition for one asked for that this machine does
 * not give.
 */
export function resolveCapabilities(
  wanted: { readonly add: readonly string[]; readonly drop: readonly string[] },
  privileged: boolean,
  available: readonly string[],
): string[] {
  const known = (names: readonly string[]): string[] =>
    names.map((name) => {
      const plain = name.toUpperCase().replace(/^CAP_/, '')
      if (plain !== 'ALL' && !ALL_CAPABILITIES.includes(plain))
        throw new GantryError('InvalidArgument', `"${name}" is no capability`, {
          details: [{ field: 'capabilities', value: name }],
        })
      return plain
    })
  const add = known(wanted.add)
  const drop = known(wanted.drop)
  const absent = add.find((name) => name !== 'ALL' && !available.includes(name))
  if (absent !== undefined)
    throw new GantryError('FailedPrecondition', `capability ${absent} cannot be given: this machine's agent lacks it`, {
      details: [{ field: 'capabilities.add', value: absent }],
    })
  const base =
    privileged || add.includes('ALL')
      ? available
      : drop.includes('ALL')
        ? []
        : DEFAULT_CAPABILITIES.filter((name) => available.includes(name))
  const dropped = privileged ? [] : drop
  return ALL_CAPABILITIES.filter((name) => add.includes(name) || (base.includes(name) && !dropped.includes(name))).map(
    (name) => `CAP_${name}`,
  )
}
