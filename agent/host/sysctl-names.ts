/** Names of kernel settings: sysctl(8), and the namespaces that they belong to. */
const OF_IPC = /^(kernel\.(shm|msg)\w*\*?|kernel\.sem|fs\.mqueue\.[\w.\-/*]+)$/
const OF_NETWORK = /^net\.[\w.\-/*]+$/

/**
 * As the runtime knows a setting: parts divided by dots. sysctl(8) also takes slashes, and then a dot is part of a
 * name.
 */
export function sysctlName(name: string): string {
  return /^[^./]*\//.test(name) ? name.replace(/[./]/g, (divider) => (divider === '/' ? '.' : '/')) : name
}

/** The field of a pod's spec that takes the setting from the pod; undefined for one that is the whole machine's. */
export function sysctlNamespace(name: string): 'hostIPC' | 'hostNetwork' | undefined {
  return OF_IPC.test(name) ? 'hostIPC' : OF_NETWORK.test(name) ? 'hostNetwork' : undefined
}

/** What is wrong with an entry of the agent's setting allowedUnsafeSysctls; undefined: nothing. */
export function allowedSysctlProblem(entry: string): string | undefined {
  const name = sysctlName(entry)
  if (/\*./.test(name) || sysctlNamespace(name) === undefined)
    return 'must be kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*, or one of them, with "*" at its end only'
  return undefined
}
