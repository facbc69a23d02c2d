/**
 * Chains of nft that lead connections to the fault program on the machine that they are for. They are taken in as they
 * come in from outside; those that were there before are cut with a reset, so that they come back through it.
 * https://wiki.nftables.org/wiki-nftables/index.php/Performing_Network_Address_Translation_(NAT)
 */

/** From these addresses (undefined: from anywhere) to `port` goes to `proxy`, a port of the machine itself. */
export interface Redirect {
  readonly sources?: readonly string[]
  readonly port: number
  readonly proxy: number
}

export function tcpRedirects(redirects: readonly Redirect[]): string {
  const to = ({ sources, port }: Redirect): string =>
    `${sources === undefined ? '' : `ip saddr { ${sources.join(', ')} } `}tcp dport ${port}`
  return [
    chain(
      'incoming',
      'type nat hook prerouting priority dstnat - 10',
      redirects.map((redirect) => `iifname != "lo" ${to(redirect)} redirect to :${redirect.proxy}`),
    ),
    // A packet that is still for the old port belongs to a connection from before. Resets themselves get through: they
    // end the other half of it.
    chain(
      'cut',
      'type filter hook input priority filter',
      redirects.map((redirect) => `iifname != "lo" ${to(redirect)} tcp flags & rst == 0 reject with tcp reset`),
    ),
  ].join('')
}

/**
 * A connection that the program continues from the loopback address `via` has the source `address` to the server: some
 * judge their peers by it.
 */
export function sourcesKept(
  clients: readonly { readonly address: string; readonly via: string }[],
  ports: readonly number[],
): string {
  return chain(
    'sources',
    'type nat hook postrouting priority srcnat',
    clients.map(
      ({ address, via }) => `oifname "lo" ip saddr ${via} tcp dport { ${ports.join(', ')} } snat to ${address}`,
    ),
  )
}

/**
 * Where queries for one server of DNS go: by the machine's own programs to loopback, by others through the machine to
 * every address.
 */
export interface DnsRedirect {
  /** Undefined: whatever server they are for. */
  readonly server?: string
  readonly own: { readonly udp: number; readonly tcp: number }
  readonly forwarded: { readonly udp: number; readonly tcp: number }
}

/** Queries sent as `group` are spared: they are the program's own. */
export function dnsRedirects(redirects: readonly DnsRedirect[], group: number): string {
  const rules = (before: string, ports: (redirect: DnsRedirect) => DnsRedirect['own']): string[] =>
    redirects.flatMap((redirect) =>
      (['udp', 'tcp'] as const).map(
        (protocol) =>
          `${before}${redirect.server === undefined ? '' : `ip daddr ${redirect.server} `}${protocol} dport 53 redirect to :${ports(redirect)[protocol]}`,
      ),
    )
  // Before those of others, such as the one by which a container engine leads queries to its own resolver.
  return [
    chain(
      'own',
      'type nat hook output priority dstnat - 10',
      rules(`meta skgid != ${group} `, ({ own }) => own),
    ),
    chain(
      'forwarded',
      'type nat hook prerouting priority dstnat - 10',
      rules('iifname != "lo" ', ({ forwarded }) => forwarded),
    ),
  ].join('')
}

function chain(name: string, hook: string, rules: readonly string[]): string {
  return `  chain ${name} {\n    ${hook}; policy accept;\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`
}
