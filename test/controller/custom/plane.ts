/** A control plane with the reconcilers that custom kinds need, and definitions to try. */
import { decodeJson, encodeJson } from '../../../proto/codec/codec.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import type { AnyResource, CustomResourceDefinition, JsonObject, JsonValue, Kind } from '../../../proto/gen/types.ts'
import { DefinitionReconciler } from '../../../controller/reconcile/definition/reconciler.ts'
import { GarbageReconciler } from '../../../controller/reconcile/garbage/reconciler.ts'
import { NamespaceReconciler } from '../../../controller/reconcile/namespace/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { ControlPlane } from '../control-plane.ts'
import { reconcileParts } from '../reconcile-parts.ts'
import { eventually } from '../../eventually.ts'

export const context = { fieldManager: 'tester' }

export const CRONTAB_SCHEMA: JsonObject = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['cronSpec'],
      properties: {
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
        image: { type: 'string', default: 'busybox' },
        replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
        suspend: { type: 'boolean' },
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, port: { type: 'integer' } },
          },
        },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
        extra: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } } },
  },
}

/** A CustomResourceDefinition of CronTab, version v1, with status and scale; `version` and `spec` change it. */
export function cronTabs(version: JsonObject = {}, spec: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'crontabs.stable.example.com' },
    spec: {
      group: 'stable.example.com',
      scope: 'Namespaced',
      names: { plural: 'crontabs', singular: 'crontab', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: CRONTAB_SCHEMA },
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.labelSelector',
            },
          },
          ...version,
        },
      ],
      ...spec,
    },
  }
}

export function cronTab(
  name: string,
  spec: JsonObject = {},
  metadata: JsonObject = {},
  apiVersion = 'stable.example.com/v1',
): JsonObject {
  return {
    apiVersion,
    kind: 'CronTab',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { cronSpec: '* * * * */5', ...spec },
  }
}

export class CustomPlane {
  readonly #plane: ControlPlane
  readonly #group = new RunGroup()

  private constructor(plane: ControlPlane) {
    this.#plane = plane
    const parts = reconcileParts(plane)
    this.#group.add((signal) =>
      runReconcilers(
        [new DefinitionReconciler(parts), new GarbageReconciler(parts), new NamespaceReconciler(parts)],
        parts,
        signal,
      ),
    )
  }

  static async start(): Promise<CustomPlane> {
    return new CustomPlane(await ControlPlane.start())
  }

  get api() {
    return this.#plane.api
  }
  get informer() {
    return this.#plane.informer
  }
  get store() {
    return this.#plane.store
  }

  async create(object: JsonObject): Promise<AnyResource> {
    const decoded = decodeJson(undefined, object as JsonValue, { kinds: this.informer.kinds })
    return (await this.api.create(decoded as never, context)) as AnyResource
  }

  /** Creates a definition and waits until its kind is served. */
  async define(definition: JsonObject): Promise<Kind> {
    const { spec, metadata } = (await this.create(definition)) as CustomResourceDefinition
    return eventually(
      () =>
        this.informer.kinds.find(
          `${spec.group}/${spec.versions.find(({ served }) => served)!.name}`,
          spec.names.kind,
        ) ??
        Promise.reject(
          new Error(
            `not established: ${JSON.stringify(this.informer.lister('CustomResourceDefinition').get('', metadata.name)?.status)}`,
          ),
        ),
    )
  }

  async read(kind: Kind, name: string, namespace = 'default'): Promise<JsonObject> {
    return encodeJson((await this.api.get(kind, namespace, name)) as AnyResource)
  }

  async stop(): Promise<void> {
    this.#group.stop()
    await this.#group.wait()
    await this.#plane.stop()
  }
}
