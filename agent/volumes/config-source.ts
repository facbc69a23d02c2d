/** Where the content of volumes and environments comes from: what the control plane gave this node. */
import type { ConfigMap, Secret, ServiceAccountTokenProjection } from '../../proto/gen/types.ts'

export interface ConfigSource {
  configMap(namespace: string, name: string): ConfigMap | undefined
  secret(namespace: string, name: string): Secret | undefined
  /** Of the pod's account, as its volume asks for it. */
  token(podUid: string, wanted: TokenRequest): string | undefined
}

/** As a projected volume asks for it. */
export type TokenRequest = Pick<ServiceAccountTokenProjection, 'audience' | 'expirationSeconds'>
