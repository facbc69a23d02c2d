/** The proxy's whole configuration, as files of one directory. Pure. https://docs.haproxy.org/3.0/configuration.html */
import { createHash } from 'node:crypto'
import { GantryError } from '../../proto/base/errors.ts'
import { backendSection } from './backend-section.ts'
import type { Backend, ProxyModel } from './proxy-model.ts'
import { NO_FILTERS } from './proxy-model.ts'
import { frontendSection, type BindSettings, type Line } from './frontend-section.ts'
import { sectionName as nameWord } from './haproxy-syntax.ts'

export interface HaproxyConfigSettings extends BindSettings {
  /** Account that the workers run as; undefined: as whom the agent runs. */
  readonly account: { readonly user: string; readonly group: string } | undefined
  /** Name servers, "address:port". */
  readonly nameServers: readonly string[]
}

export interface HaproxyConfig {
  /** Content by name below the directory; certificates, with their keys, are in certificates/. */
  readonly files: ReadonlyMap<string, string>
  /** Line of haproxy.cfg, from 1 → "Kind/namespace/name" of the object that it comes from. */
  readonly owners: ReadonlyMap<number, string>
  /** The same for two configurations that differ in nothing but endpoints. */
  readonly structure: string
}

export const CONFIGURATION_FILE = 'haproxy.cfg'

function preamble({ account, nameServers }: HaproxyConfigSettings): string[] {
  return [
    'global',
    '  default-path config',
    ...(account === undefined ? [] : [`  user ${account.user}`, `  group ${account.group}`]),
    // What the machine allows, so far as there is memory for the table.
    '  fd-hard-limit 65536',
    // Connections of a configuration that is no more, such as websockets, may go on so long.
    '  hard-stop-after 1h',
    '  ssl-default-bind-options ssl-min-ver TLSv1.2',
    'defaults',
    '  mode http',
    '  timeout connect 2s',
    '  timeout http-request 30s',
    '  timeout http-keep-alive 75s',
    '  timeout client 1h',
    '  timeout server 1h',
    '  timeout tunnel 24h',
    '  timeout client-fin 30s',
    '  timeout server-fin 30s',
    '  timeout queue 10s',
    // A pod that has vanished costs a further attempt, at another pod.
    '  retries 3',
    '  option redispatch 1',
    '  retry-on conn-failure empty-response',
    '  http-reuse safe',
    // A client that sends its next request while the configuration changes is answered; the connection closes after
    // that.
    '  option idle-close-on-response',
    '  option dontlognull',
    'resolvers names',
    ...nameServers.map((server, index) => `  nameserver n${index + 1} ${server}`),
    '  hold valid 5s',
    '  resolve_retries 3',
    '  timeout resolve 1s',
    '  timeout retry 1s',
  ]
}

/** Backends that sections name although no rule does. */
const NOT_FOUND_BACKEND: Backend = {
  name: 'answer.404',
  destination: { is: 'answer', status: 404 },
  treatment: NO_FILTERS,
  owner: '',
}

export function renderHaproxyConfig(model: ProxyModel, settings: HaproxyConfigSettings): HaproxyConfig {
  const files = new Map<string, string>()
  const lines: Line[] = preamble(settings).map((text) => ({ text }))
  for (const port of model.ports) {
    const section = frontendSection(port, settings)
    for (const [name, content] of section.files) files.set(name, content)
    for (const { name, pem } of port.certificates ?? []) files.set(`certificates/${nameWord(name)}.pem`, pem)
    lines.push(...section.lines)
  }
  const structure = lines.map(({ text }) => text)
  const backends = new Map([[NOT_FOUND_BACKEND.name, NOT_FOUND_BACKEND], ...model.backends])
  for (const backend of [...backends.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const section = backendSection(backend)
    lines.push(...section.lines.map((text) => ({ text, owner: backend.owner })))
    structure.push(...section.structure)
  }
  const hash = createHash('sha256')
    .update(JSON.stringify([structure, [...files].sort(([a], [b]) => (a < b ? -1 : 1))]))
    .digest('hex')
  const broken = lines.find(({ text }) => /[\n\r\0]/.test(text))
  if (broken !== undefined)
    throw new GantryError(
      'Internal',
      `a line of the proxy's configuration has a line break: ${JSON.stringify(broken.text)}`,
    )
  files.set(CONFIGURATION_FILE, lines.map(({ text }) => `${text}\n`).join(''))
  return {
    files,
    owners: new Map(lines.flatMap(({ owner = '' }, index) => (owner === '' ? [] : [[index + 1, owner] as const]))),
    structure: hash,
  }
}
