/**
 * Work on a node that no pod waits for: logs are rotated, volumes measured, ends that nobody told found out, images
 * that nobody uses removed.
 */
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { ImageService } from '../images/contract.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import { logSize, rotate, type RotationLimits } from '../streams/logs/log-files.ts'
import type { PodManager } from './pod-manager.ts'

export interface ImageGcPolicy {
  /** Milliseconds unused after which an image goes. */
  readonly age: number
  /** Percent of the disk in use above which more go, least recently used first … */
  readonly highPercent: number
  /** … until below this. */
  readonly lowPercent: number
}

const DEFAULT_IMAGE_GC_POLICY: ImageGcPolicy = { age: 7 * 24 * 3_600_000, highPercent: 85, lowPercent: 80 }

const HOUSEKEEPING_INTERVAL_MS = 10_000
const IMAGE_GC_INTERVAL_MS = 300_000

export class Housekeeping {
  readonly #pods: PodManager
  readonly #images: ImageService
  readonly #runtime: RuntimeDriver
  readonly #clock: Clock
  readonly #log: Logger
  readonly #rotation: RotationLimits
  readonly #retention: ImageGcPolicy
  /**
   * Volumes may be so full of files that measuring them takes longer than a log takes to fill the disk: logs do not
   * wait for it.
   */
  #measuring: Promise<void> | undefined

  constructor(parts: {
    pods: PodManager
    images: ImageService
    runtime: RuntimeDriver
    clock: Clock
    log: Logger
    rotation: RotationLimits
    retention?: ImageGcPolicy
  }) {
    this.#pods = parts.pods
    this.#images = parts.images
    this.#runtime = parts.runtime
    this.#clock = parts.clock
    this.#log = parts.log
    this.#rotation = parts.rotation
    this.#retention = parts.retention ?? DEFAULT_IMAGE_GC_POLICY
  }

  /** Until the signal is aborted. A failure is logged and the work tried again the next time. */
  async run(signal: AbortSignal): Promise<void> {
    let nextImages = this.#clock.monotonic() + IMAGE_GC_INTERVAL_MS
    while (!signal.aborted) {
      try {
        await delay(this.#clock, HOUSEKEEPING_INTERVAL_MS, signal)
      } catch (thrown) {
        if (signal.aborted) return void (await this.#measuring)
        throw thrown
      }
      await this.rotateLogs()
      await this.#attempt('ends', () => this.findEnded())
      this.#measuring ??= this.#attempt('volumes', () => this.#pods.evictOversized()).finally(
        () => (this.#measuring = undefined),
      )
      if (this.#clock.monotonic() < nextImages) continue
      nextImages = this.#clock.monotonic() + IMAGE_GC_INTERVAL_MS
      await this.#attempt('images', () => this.collectImages())
    }
  }

  /**
   * Rotates away the logs that have become too large. Where there is none, a rotation was cut short: its second half
   * follows.
   */
  async rotateLogs(): Promise<void> {
    for (const { id, log } of this.#pods.running()) {
      await this.#attempt(`log ${log}`, async () => {
        const size = await logSize(log)
        const reopen = (): Promise<void> => this.#runtime.reopenLog(id)
        if (size === undefined) await reopen()
        else if (size >= this.#rotation.size) await rotate(log, this.#rotation, reopen)
      })
    }
  }

  /**
   * A container whose shim was killed ends without a word: asked for its state, the runtime finds that out and tells
   * it.
   */
  async findEnded(): Promise<void> {
    for (const { id } of this.#pods.running()) await this.#runtime.containerState(id)
  }

  async collectImages(): Promise<void> {
    const { age, highPercent, lowPercent } = this.#retention
    const removed = await this.#images.collect({
      inUse: this.#pods.imagesInUse(),
      olderThanMillis: age,
      highPercent,
      lowPercent,
    })
    for (const image of removed)
      this.#log.info({ image: image.reference, digest: image.digest, bytes: image.size }, 'image removed')
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#log.error({ what, error }, 'housekeeping failed')
    }
  }
}
