/** The requests that the benchmarks of the API ask, as load.mjs takes them. */
import { enveloped, pod, PROTOBUF } from './pods.ts'

export const LISTED = 500
export const JSON_HEADERS = { Accept: 'application/json' }
export const PROTOBUF_HEADERS = { Accept: PROTOBUF }
export const ONE = { path: '/api/v1/namespaces/default/pods/pod-7' }
export const LIST = { path: `/api/v1/namespaces/default/pods?limit=${LISTED}` }
export const NEW = { method: 'POST', path: '/api/v1/namespaces/new/pods' }
export const JSON_BODY = {
  headers: { ...JSON_HEADERS, 'Content-Type': 'application/json' },
  body: { text: JSON.stringify(pod('made-#')) },
}
// The server chooses the name: bytes cannot be filled in.
const GENERATED = { ...pod(''), metadata: { generateName: 'made-', labels: { app: 'bench' } } }
export const PROTOBUF_BODY = {
  headers: { ...PROTOBUF_HEADERS, 'Content-Type': PROTOBUF },
  body: { base64: enveloped(GENERATED).toString('base64') },
}
