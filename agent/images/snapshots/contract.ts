/**
 * Snapshots: file systems made of layers.
 *
 * A *committed* snapshot is read-only and named by its chain id, the digest of its layer on top of those below
 * (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#layer-chainid), so that images share what they
 * have in common. An
 * *active* one is writable, stands on a committed one, and is named by whoever asked for it.
 *
 * An image of layers A and B, run as container c:
 *
 *     commit(a = chain(A), '',  fill)      fill writes A into the directory given
 *     commit(b = chain(A, B), a, fill)     fill sees what is below through `lower`
 *     mount('c', b) → /…/rootfs            again after a restart or a reboot: the same files
 *     remove('c')
 *     sweep(new Set())                     removes b, then a
 *
 * Whenever the machine stops, `start` finds whole snapshots or none: what is half made is removed.
 */
import type { Leases } from '../leases.ts'
import type { LowerLayers } from '../unpack/layer-tree.ts'

/**
 * Writes a layer into an empty directory. `opaque`: its directories that hide what is below them, '.' for the root, as
 * byte strings.
 */
export type ApplyLayer = (directory: string, lower: LowerLayers) => Promise<{ readonly opaque: readonly string[] }>

export interface Snapshotter {
  /** Chain ids that are not to be swept, committed already or not. */
  readonly leases: Leases

  /** FailedPrecondition: the file system cannot carry snapshots. */
  start(): Promise<void>
  /** Ends what it does in the background. Mounts stay. */
  stop(): Promise<void>

  committed(chainId: string): boolean
  /**
   * Makes a committed snapshot on top of `parent` ('' for none; FailedPrecondition if it is not committed). Calls for
   * one chain id wait for each other, and `fill` is called for the first only. When it fails, nothing is left.
   */
  commit(chainId: string, parent: string, fill: ApplyLayer): Promise<void>

  /**
   * The active snapshot of this key, made if there is none, mounted if it is not. '' has no layers.
   * AlreadyExists: the key stands on another chain id; NotFound: the chain id is not committed; InvalidArgument: the
   * key is no file name.
   */
  mount(key: string, chainId: string): Promise<{ readonly path: string }>
  /** Unmounts and removes. Not there: nothing happens. */
  remove(key: string): Promise<void>
  /** Key → chain id of every active snapshot. */
  active(): ReadonlyMap<string, string>

  /** Removes the committed snapshots that no chain id in `live`, no hold and no active snapshot stands on. */
  sweep(live: ReadonlySet<string>): Promise<void>
}
