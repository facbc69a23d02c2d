/**
 * Images on a node: pulled from registries, kept by digest, unpacked once, handed to containers as writable root
 * filesystems.
 */

export type PullPolicy = 'Always' | 'IfNotPresent' | 'Never'

/** For one registry, or a part of its repositories. */
export interface Credential {
  /** Host as in an image reference, and perhaps the beginning of a repository: "docker.io", "127.0.0.1:5000/team". */
  readonly registry: string
  readonly username: string
  readonly password: string
}

/** What an image says about how to run it. https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md */
export interface ImageConfig {
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** '' if it says none. */
  readonly workingDir: string
  /** "uid", "name", "uid:gid", …; '' if it says none. */
  readonly user: string
  readonly stopSignal: string
  readonly volumes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

export interface Image {
  /** Normalised: registry, repository and tag or digest, e.g. "docker.io/library/busybox:latest". */
  readonly reference: string
  /** Of the manifest of this platform, "sha256:…". */
  readonly digest: string
  /** Of the config: the image's id. */
  readonly id: string
  /** Compressed bytes of all layers. */
  readonly size: number
  readonly config: ImageConfig
}

export interface PullProgress {
  readonly reference: string
  readonly layers: number
  readonly layersDone: number
  readonly bytes: number
  readonly bytesDone: number
}

export interface ImageService {
  /** Opens what is on disk; leftovers of an interrupted pull are resumed later or removed. */
  start(): Promise<void>
  stop(): Promise<void>

  /**
   * The image, pulled if the policy asks for it. One pull per digest, whoever waits. An image that is here because
   * somebody pulled it with credentials is given to others once the registry has said that they may have it, whatever
   * the policy. Errors: NotFound (no such image), Forbidden or Unauthenticated (registry refuses), Unavailable
   * (registry unreachable), FailedPrecondition (policy Never and absent, or no such platform), InvalidArgument (bad
   * reference, or a layer that breaks the rules), ResourceExhausted (disk full).
   */
  ensure(
    reference: string,
    options: {
      policy: PullPolicy
      credentials: readonly Credential[]
      signal: AbortSignal
      progress?: (progress: PullProgress) => void
    },
  ): Promise<Image>

  /**
   * Takes the images of an archive (an OCI image layout or what `docker save` writes, as tar, perhaps compressed by
   * gzip or zstd): all of them or none. `name` is that of the only image, or of the only one without a name. They are
   * kept as those that were pulled are. Errors: InvalidArgument (no such archive, damaged, a bad name),
   * FailedPrecondition (made for another platform), ResourceExhausted (disk full).
   */
  load(
    archive: AsyncIterable<Uint8Array>,
    options: { name?: string | undefined; signal: AbortSignal },
  ): Promise<readonly Image[]>

  /** A local image by reference, digest or id. */
  find(reference: string): Promise<Image | undefined>
  list(): Promise<readonly Image[]>

  /**
   * A writable root filesystem of an image for a container, mounted. The same key again gives the same one, mounted
   * again if need be (after a reboot).
   */
  mountRootfs(key: string, image: Image): Promise<{ readonly path: string }>
  /** Unmounts and removes it. Not there: nothing happens. */
  removeRootfs(key: string): Promise<void>
  listRootfs(): Promise<readonly string[]>

  /**
   * Removes images unused for `olderThanMillis`, least recently used first, and more while the disk is fuller than
   * `highPercent` until below `lowPercent`; never one in `inUse` (digests). What it removed.
   */
  collect(options: {
    inUse: ReadonlySet<string>
    olderThanMillis: number
    highPercent: number
    lowPercent: number
  }): Promise<readonly Image[]>
}

/** How registries are reached: `registries` in the agent's configuration. */
export interface RegistriesConfig {
  /**
   * Registry host → base addresses tried in order before the registry itself, e.g. { "docker.io":
   * ["http://10.0.0.1:5000"] }. The host "*" stands for all that have no entry. What follows "/v2/" in an address is
   * the folder there, in which "*" stands for the registry's host ("_" for the colon of a port): { "*":
   * ["http://10.0.0.1:5000/v2/*"] } looks for registry.k8s.io/pause as
   * 10.0.0.1:5000/registry.k8s.io/pause.
   */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>
  /** Hosts that may be spoken to in plain HTTP (a mirror's http:// address is allowed by being written down). */
  readonly insecure?: readonly string[]
  /** Host → file with the PEM certificates to trust for it. */
  readonly ca?: Readonly<Record<string, string>>
}
