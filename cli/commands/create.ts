/** `gantry create`: makes objects that must not exist yet, from manifests or from flags. */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { decodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, JsonObject, Kind } from '../../proto/gen/types.ts'
import { FIELD_MANAGER, type WriteFlags } from '../../proto/client/cluster-options.ts'
import { defineCommand, type Command, type Invocation } from '../../proto/terminal/command.ts'
import { awaitEstablished, isUnknownKind, kindDefinedBy } from '../../proto/client/custom-kinds.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { ingressOf } from '../ingress-rules.ts'
import { atManifest, rankOf, selectManifests } from '../../proto/client/manifests/manifests.ts'
import { formatObjects, OUTPUT_HELP, parseFormat, type Format } from '../output/format.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { tlsFlags, tlsSecret } from './create-tls.ts'
import { portFlag, serviceOf, type ServiceType } from './create-service.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { manifestFlags, manifestsOf, requireValidation, validateFlag } from '../manifest-flags.ts'

const writeFlags = {
  'dry-run': dryRunFlag,
  output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  'field-manager': { type: 'text', value: 'name', default: FIELD_MANAGER, help: 'owner of the fields' },
} as const

const contentFlags = {
  'from-literal': { type: 'list', value: 'key=value', help: 'one entry; may be repeated' },
  'from-file': {
    type: 'list',
    value: '[key=]file',
    help: 'the content of a file, or of each file in a directory',
    completes: 'file',
  },
  'from-env-file': { type: 'list', value: 'file', help: 'a file with key=value lines', completes: 'file' },
} as const

async function tell(
  environment: Environment,
  format: Format,
  objects: readonly AnyResource[],
  dryRun: DryRun,
): Promise<void> {
  if (format.is !== 'table')
    return void environment.stdout.write(await formatObjects(format, objects, objects.length === 1))
  environment.stdout.write(
    objects.map(({ kind, metadata }) => `${kindWord(kind)}/${metadata.name} created${dryRunNote(dryRun)}\n`).join(''),
  )
}

/** A subcommand that makes one object out of flags. */
function creator<F extends Command['flags']>(
  kind: Kind,
  usage: string,
  summary: string,
  example: string,
  flags: F,
  build: (invocation: Invocation, name: string) => Promise<JsonObject>,
): Command {
  return defineCommand({
    usage,
    summary,
    examples: [example],
    flags: { ...flags, ...writeFlags },
    completes: 'none',
    async run(invocation) {
      const { args, environment, target } = invocation
      if (args.length !== 1)
        throw new UsageError(
          args.length === 0 ? 'which name is it to have?' : `one name is expected, not ${args.length}`,
        )
      const given = invocation.flags as { 'dry-run': string; output: string | undefined; 'field-manager': string }
      const dryRun = parseDryRun(given['dry-run'])
      const format = parseFormat(given.output)
      const built = await build(invocation as unknown as Invocation, args[0]!)
      const metadata = {
        ...(built.metadata as JsonObject | undefined),
        name: args[0]!,
        ...(kind === 'Namespace' ? {} : { namespace: await target.namespace() }),
      }
      const draft = decodeJson(kind, { apiVersion: apiVersionOf(resourceOf(kind)), kind, ...built, metadata })
      const object =
        dryRun === 'client'
          ? draft
          : await (
              await target.cluster()
            ).create(draft, { dryRun: dryRun === 'server', fieldManager: given['field-manager'] })
      await tell(environment, format, [object as AnyResource], dryRun)
    },
  })
}

const deployment = creator(
  'Deployment',
  'NAME --image=IMAGE [flags] [-- COMMAND argument…]',
  'create a deployment',
  'gantry create deployment web --image=nginx --replicas=3 --port=80',
  {
    image: { type: 'list', value: 'image', help: 'what to run; repeated, a container for each' },
    replicas: { type: 'integer', short: 'r', value: 'count', default: 1, help: 'how many pods' },
    port: { type: 'integer', value: 'number', help: 'a port that the containers listen on' },
  } as const,
  async ({ flags, rest = [] }, name) => {
    const {
      image: images,
      replicas,
      port,
    } = flags as unknown as { image: string[]; replicas: number; port: number | undefined }
    if (images.length === 0) throw new UsageError('which image? Say --image=IMAGE')
    if (images.length > 1 && rest.length > 0)
      throw new UsageError('a command goes with one image only', 'write a manifest for more')
    const labels = { app: name }
    const containers = images.map((image): JsonObject => ({
      name: image
        .replace(/@.*$/, '')
        .split('/')
        .at(-1)!
        .replace(/:.*$/, '')
        .toLowerCase()
        .replace(/[^a-z0-9-]/g, '-'),
      image,
      ...(rest.length === 0 ? {} : { command: [...rest] }),
      ...(port === undefined ? {} : { ports: [{ containerPort: port }] }),
    }))
    return {
      metadata: { labels },
      spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    }
  },
)

const namespace = creator(
  'Namespace',
  'NAME [flags]',
  'create a namespace',
  'gantry create namespace shop',
  {},
  async () => ({}),
)

const configmap = creator(
  'ConfigMap',
  'NAME [--from-literal=KEY=VALUE] [--from-file=FILE] [flags]',
  'create a config map',
  'gantry create configmap web --from-literal=color=blue --from-file=app.conf',
  contentFlags,
  async (invocation) => {
    const data: JsonObject = {}
    const binaryData: JsonObject = {}
    for (const [key, value] of await contentOf(invocation)) {
      const text = value.toString('utf8')
      if (Buffer.from(text).equals(value)) data[key] = text
      else binaryData[key] = value.toString('base64')
    }
    return { data, binaryData }
  },
)

const generic = creator(
  'Secret',
  'NAME [--from-literal=KEY=VALUE] [--from-file=FILE] [flags]',
  'create a secret',
  'gantry create secret generic db --from-literal=password=s3cret',
  { ...contentFlags, type: { type: 'text', value: 'type', default: 'Opaque', help: "the secret's type" } },
  async (invocation) => ({
    type: (invocation.flags as { type?: string }).type ?? 'Opaque',
    data: Object.fromEntries([...(await contentOf(invocation))].map(([key, value]) => [key, value.toString('base64')])),
  }),
)

const registry = creator(
  'Secret',
  'NAME --docker-server=HOST --docker-username=USER --docker-password=PASSWORD [flags]',
  'create the credentials of a registry',
  'gantry create secret docker-registry pull --docker-server=registry.example.com --docker-username=me --docker-password=…',
  {
    'docker-server': { type: 'text', value: 'host', help: 'the registry' },
    'docker-username': { type: 'text', value: 'name', help: 'who' },
    'docker-password': { type: 'text', value: 'text', help: 'with which password' },
    'docker-email': { type: 'text', value: 'address', help: 'mail address' },
  } as const,
  async ({ flags }) => {
    const given = flags as Record<string, string | undefined>
    const wanted = (name: string): string => {
      const value = given[name]
      if (value === undefined || value === '') throw new UsageError(`--${name} is required`)
      return value
    }
    const [username, password] = [wanted('docker-username'), wanted('docker-password')]
    const email = given['docker-email']
    const entry = {
      username,
      password,
      ...(email === undefined ? {} : { email }),
      auth: Buffer.from(`${username}:${password}`).toString('base64'),
    }
    return {
      type: 'kubernetes.io/dockerconfigjson',
      data: {
        '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [wanted('docker-server')]: entry } })).toString(
          'base64',
        ),
      },
    }
  },
)

const serviceaccount = creator(
  'ServiceAccount',
  'NAME [flags]',
  'create an account for programs',
  'gantry create serviceaccount deployer',
  {},
  async () => ({}),
)

const tls = creator(
  'Secret',
  'NAME --cert=FILE --key=FILE [flags]',
  'create a certificate with its key',
  'gantry create secret tls shop-tls --cert=tls.crt --key=tls.key',
  tlsFlags,
  ({ flags, environment }) =>
    tlsSecret(flags as { cert?: string; key?: string }, (file) => readLocal(environment, file)),
)

const ingress = creator(
  'Ingress',
  'NAME --rule=HOST/PATH=SERVICE:PORT[,tls[=SECRET]] [flags]',
  'create an ingress',
  "gantry create ingress shop --rule='shop.example.com/*=web:80,tls=shop-tls'",
  {
    rule: {
      type: 'list',
      value: 'host/path=service:port[,tls[=secret]]',
      help: 'a path that ends in * is a prefix, another is exact; may be repeated',
    },
    class: { type: 'text', value: 'name', help: 'the IngressClass' },
    'default-backend': { type: 'text', value: 'service:port', help: 'where other requests go' },
    annotation: { type: 'list', value: 'key=value', help: 'an annotation; may be repeated' },
  } as const,
  async ({ flags }) => {
    const given = flags as unknown as {
      rule: string[]
      class: string | undefined
      'default-backend': string | undefined
      annotation: string[]
    }
    const fallback = given['default-backend']
    if (given.rule.length === 0 && fallback === undefined)
      throw new UsageError('which rules? Say --rule=HOST/PATH=SERVICE:PORT or --default-backend=SERVICE:PORT')
    return ingressOf(given.rule, { class: given.class, fallback, annotations: given.annotation })
  },
)

const secret = defineCommand({
  usage: '(generic | docker-registry | tls) NAME [flags]',
  summary: 'create a secret',
  examples: [],
  flags: {},
  completes: 'none',
  subcommands: { generic, 'docker-registry': registry, tls },
})

interface GivenServiceFlags {
  readonly tcp: string[]
  readonly clusterip?: string
  readonly 'node-port'?: number
  readonly 'external-name'?: string
}

/** `create service TYPE`. */
function serviceCreator<F extends Command['flags']>(
  type: ServiceType,
  usage: string,
  summary: string,
  example: string,
  flags: F,
): Command {
  return creator('Service', usage, summary, example, { ...portFlag, ...flags }, async (invocation, name) => {
    const given = invocation.flags as unknown as GivenServiceFlags
    return serviceOf(type, name, {
      tcp: given.tcp,
      clusterIP: given.clusterip,
      nodePort: given['node-port'],
      externalName: given['external-name'],
    })
  })
}

const service = defineCommand({
  usage: '(clusterip | nodeport | loadbalancer | externalname) NAME [flags]',
  summary: 'create a service for the pods with the label app=NAME',
  examples: [],
  flags: {},
  completes: 'none',
  subcommands: {
    clusterip: serviceCreator(
      'ClusterIP',
      'NAME --tcp=PORT[:TARGET] [flags]',
      'create a service inside the cluster',
      'gantry create service clusterip web --tcp=80:8080',
      { clusterip: { type: 'text', value: 'address', help: 'its address, or None for a headless service' } },
    ),
    nodeport: serviceCreator(
      'NodePort',
      'NAME --tcp=PORT[:TARGET] [flags]',
      'create a service with a port of every node',
      'gantry create service nodeport web --tcp=80:8080',
      { 'node-port': { type: 'integer', value: 'number', help: 'the port of every node' } },
    ),
    loadbalancer: serviceCreator(
      'LoadBalancer',
      'NAME --tcp=PORT[:TARGET] [flags]',
      "create a service at the nodes' addresses",
      'gantry create service loadbalancer web --tcp=80:8080',
      {},
    ),
    externalname: serviceCreator(
      'ExternalName',
      'NAME --external-name=HOST [flags]',
      'create a service that stands for another name',
      'gantry create service externalname db --external-name=db.example.com',
      { 'external-name': { type: 'text', value: 'host', help: 'the name that it stands for' } },
    ),
  },
})

export default defineCommand({
  usage:
    '(-f FILE | deployment NAME | namespace NAME | configmap NAME | secret generic NAME | service TYPE NAME | ingress NAME | serviceaccount NAME) [flags]',
  summary: 'create objects, or fail if they exist',
  description: 'Creates objects that must not exist yet. With several, all are checked before the first is created.',
  examples: [
    'gantry create -f pod.yaml',
    'gantry create deployment web --image=nginx',
    'gantry create namespace shop',
    'gantry create configmap web --from-literal=color=blue',
  ],
  flags: {
    ...manifestFlags,
    ...writeFlags,
    selector: { type: 'text', short: 'l', value: 'selector', help: 'only objects with these labels' },
    validate: validateFlag,
  },
  completes: 'none',
  subcommands: {
    deployment,
    deploy: deployment,
    namespace,
    ns: namespace,
    configmap,
    cm: configmap,
    secret,
    service,
    svc: service,
    ingress,
    ing: ingress,
    serviceaccount,
    sa: serviceaccount,
  },
  async run({ flags, args, environment, global, target }) {
    if (args.length > 0)
      throw new UsageError(
        `"${args[0]}" cannot be created from flags`,
        'write a manifest and give it with -f; deployment, namespace, configmap, secret, service, ingress and serviceaccount need none',
      )
    if (flags.filename.length === 0)
      throw new UsageError(
        'what? Say -f FILE, or deployment, namespace, configmap, secret, service, ingress or serviceaccount with a name',
      )
    const dryRun = parseDryRun(flags['dry-run'])
    const format = parseFormat(flags.output)
    requireValidation(flags.validate)
    const manifests = selectManifests(
      await manifestsOf({ flags, environment, global, target }, 'equal'),
      flags.selector,
    )
    const drafts = manifests.map((manifest) => {
      const { object } = manifest.document
      return {
        manifest,
        object: { ...object, metadata: { ...object.metadata, namespace: manifest.namespace } } as AnyResource,
      }
    })
    const made = new Set(manifests.filter(({ kind }) => kind === 'Namespace').map(({ name }) => name))
    const defined = new Set(
      manifests.flatMap(({ kind, name }) => (kind === 'CustomResourceDefinition' ? (kindDefinedBy(name, environment.kinds) ?? []) : [])),
    )
    const cluster = await target.cluster()
    const createAll = async (write: WriteFlags): Promise<AnyResource[]> => {
      const failures: GantryError[] = []
      const objects: AnyResource[] = []
      for (const some of inOrder(drafts, write.dryRun === true)) {
        if (objects.length > 0)
          await awaitEstablished(
            cluster,
            objects.filter(({ kind }) => kind === 'CustomResourceDefinition').map(({ metadata }) => metadata.name),
          )
        const answers = await mapConcurrently(some, ({ object }) => Promise.allSettled([cluster.create(object, write)]))
        answers.forEach(([answer], index) => {
          const { manifest, object } = some[index]!
          if (answer.status === 'fulfilled') objects.push(answer.value)
          else if (write.dryRun === true && made.has(manifest.namespace) && GantryError.is(answer.reason, 'NotFound'))
            objects.push(object)
          else if (write.dryRun === true && defined.has(manifest.kind) && isUnknownKind(answer.reason))
            objects.push(object)
          else failures.push(atManifest(manifest, answer.reason))
        })
      }
      throwFailures(failures)
      return objects
    }
    const options = { fieldManager: flags['field-manager'] }
    const tried =
      dryRun === 'client' ? drafts.map(({ object }) => object) : await createAll({ ...options, dryRun: true })
    await tell(environment, format, dryRun === 'none' ? await createAll(options) : tried, dryRun)
    return EXIT.ok
  },
})

/**
 * A namespace must exist before what is in it, and a definition before objects of its kind; tried without writing, the
 * order does not matter.
 */
function inOrder<T extends { object: AnyResource }>(drafts: readonly T[], dryRun: boolean): (readonly T[])[] {
  if (dryRun) return [drafts]
  const isFirst = ({ object }: T): boolean => rankOf(object.kind) === 0
  return [drafts.filter(isFirst), drafts.filter((draft) => !isFirst(draft))].filter((part) => part.length > 0)
}

/** The entries that the flags name, in their order; one key twice is refused. */
async function contentOf({ flags, environment }: Invocation): Promise<Map<string, Buffer>> {
  const given = flags as unknown as { 'from-literal': string[]; 'from-file': string[]; 'from-env-file': string[] }
  const content = new Map<string, Buffer>()
  const add = (key: string, value: Buffer): void => {
    if (content.has(key)) throw new UsageError(`the key "${key}" is given twice`)
    content.set(key, value)
  }
  for (const literal of given['from-literal']) {
    const at = literal.indexOf('=')
    if (at <= 0) throw new UsageError(`--from-literal="${literal}" is not KEY=VALUE`)
    add(literal.slice(0, at), Buffer.from(literal.slice(at + 1)))
  }
  for (const source of given['from-file'])
    for (const [key, value] of await filesOf(environment, source)) add(key, value)
  for (const file of given['from-env-file']) {
    const lines = (await readLocal(environment, file)).toString('utf8').split(/\r?\n/)
    for (const line of lines.filter((text) => text.trim() !== '' && !text.trimStart().startsWith('#'))) {
      const at = line.indexOf('=')
      if (at <= 0) throw new UsageError(`${file}: "${line}" is not KEY=VALUE`)
      add(line.slice(0, at).trim(), Buffer.from(line.slice(at + 1)))
    }
  }
  return content
}

async function filesOf(environment: Environment, source: string): Promise<[string, Buffer][]> {
  const at = source.indexOf('=')
  if (at === 0) throw new UsageError(`--from-file="${source}" has no key before the "="`)
  if (at > 0) return [[source.slice(0, at), await readLocal(environment, source.slice(at + 1))]]
  const absolute = path.resolve(environment.cwd, source)
  if (!(await isDirectory(absolute, source))) return [[path.basename(source), await readLocal(environment, source)]]
  const entries = (await readdir(absolute, { withFileTypes: true }))
    .filter((found) => found.isFile())
    .map((found) => found.name)
    .sort()
  return Promise.all(
    entries.map(async (name): Promise<[string, Buffer]> => [
      name,
      await readLocal(environment, path.join(source, name)),
    ]),
  )
}

function unreadable(file: string, cause: unknown): GantryError {
  return new GantryError('InvalidArgument', `cannot read ${file}: ${(cause as Error).message}`, { cause })
}

async function isDirectory(absolute: string, source: string): Promise<boolean> {
  try {
    return (await stat(absolute)).isDirectory()
  } catch (thrown) {
    throw unreadable(source, thrown)
  }
}

async function readLocal({ cwd }: Environment, file: string): Promise<Buffer> {
  try {
    return await readFile(path.resolve(cwd, file))
  } catch (thrown) {
    throw unreadable(file, thrown)
  }
}
