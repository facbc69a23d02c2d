/** Part of a container's spec: it is Ready when it listens on this port, not when its shell has started. */
export function listening(port: number): { readonly readinessProbe: object } {
  return { readinessProbe: { tcpSocket: { port }, periodSeconds: 1 } }
}
