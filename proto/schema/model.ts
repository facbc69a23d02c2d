/** The form of the schema as data: messages, fields and the options that they carry (gantry/v1/options.proto). */
/** The options of options.proto that a field carries. */
export interface FieldOptions {
  readonly required?: boolean
  readonly always?: boolean
  readonly default?: string
  readonly enum?: readonly string[]
  readonly format?: string
  readonly frozen?: boolean
  readonly mergeKey?: readonly string[]
  readonly secret?: boolean
  readonly inline?: boolean
  readonly base64?: boolean
  readonly unsupported?: string
  readonly readOnly?: boolean
  readonly inert?: readonly string[]
  readonly keyFormat?: string
  readonly set?: boolean
  readonly retainKeys?: boolean
  readonly atomic?: boolean
  readonly presence?: boolean
  readonly written?: boolean
  readonly repeats?: boolean
  readonly writer?: StatusWriter
}

/** Who alone says a field of a status. */
export type StatusWriter = 'node' | 'controlPlane'

export interface FieldSchema {
  readonly name: string
  readonly number: number
  readonly kind: 'scalar' | 'message' | 'enum'
  /** A protobuf scalar's name, or the message's or enum's. For a map, of its values; keys are strings. */
  readonly type: string
  readonly label: 'optional' | 'repeated' | 'map'
  /** A proto3 field without presence: absent means its zero value. */
  readonly implicit: boolean
  readonly oneof?: string
  readonly options: FieldOptions
}

export interface ResourceSchema {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  /** The message, where the kind's name is that of another message. */
  readonly message?: string
  /** The store does not keep it. */
  readonly virtual?: boolean
  /** Fields of metadata that a write of the status may change; absent for none. */
  readonly statusMetadata?: readonly string[]
  /** Whether metadata.generation counts changes; absent if that is so for what has a spec. */
  readonly generation?: boolean
  /** The words, such as `all`, by which a client asks for it among others; absent for none. */
  readonly categories?: readonly string[]
  /** No request deletes all of them at once. */
  readonly deletedByName?: boolean
  /** The rule for metadata.name; absent for dnsSubdomain. */
  readonly nameFormat?: string
  /** Whoever creates an object says its status, too. */
  readonly statusAtCreation?: boolean
  /** Its objects are in the stream of events and not in the store. */
  readonly streamed?: boolean
}

export interface MessageSchema {
  readonly name: string
  readonly fields: readonly FieldSchema[]
  readonly resource?: ResourceSchema
  /** It is one value in YAML, JSON and memory: its type there. */
  readonly value?: string
}

export interface EnumSchema {
  readonly name: string
  readonly values: Readonly<Record<string, number>>
}

export interface ServiceSchema {
  readonly name: string
  readonly methods: readonly {
    name: string
    request: string
    response: string
    requestStream: boolean
    responseStream: boolean
  }[]
}

export interface Schema {
  readonly messages: Readonly<Record<string, MessageSchema>>
  readonly enums: Readonly<Record<string, EnumSchema>>
  readonly services: Readonly<Record<string, ServiceSchema>>
}
