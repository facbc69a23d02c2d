/** The subcommands of `gantry create` that make one object out of flags, as kubectl's generators do. */
import { decodeJson } from '../../proto/codec/codec.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, JsonObject, Kind } from '../../proto/gen/types.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { defineCommand, type Command, type Invocation } from '../../proto/terminal/command.ts'
import { parseDryRun } from '../dry-run.ts'
import { ingressOf } from '../ingress-rules.ts'
import { parseFormat } from '../output/format.ts'
import { contentFlags, contentOf, readLocal } from './create-content.ts'
import { tellCreated, writeFlags } from './create-output.ts'
import { portFlag, serviceOf, type ServiceType } from './create-service.ts'
import { tlsFlags, tlsSecret } from './create-tls.ts'

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
      await tellCreated(environment, format, [object as AnyResource], dryRun)
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

/** By their words on the command line. */
export const generators: Readonly<Record<string, Command>> = {
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
}
