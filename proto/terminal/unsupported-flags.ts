/**
 * What does the same as a flag of kubectl's that no command here has, by the flag. It must be right for every command
 * of kubectl's that has the flag.
 */
const KUSTOMIZE = '`kubectl kustomize DIRECTORY | gantry apply -f -` applies what kustomize makes'
const CONTEXT = 'a context says which cluster is meant and who you are: --context, and `gantry config`'
const ALWAYS_VALID = 'Gantry always validates strictly'

export const unsupportedFlagHints: Readonly<Record<string, string>> = {
  '-k': KUSTOMIZE,
  '--kustomize': KUSTOMIZE,
  '--template': '-o jsonpath=… and -o custom-columns=… print parts of objects',
  '--save-config': 'nothing needs to be saved: `gantry apply` knows from the server who set which field',
  '--validate': ALWAYS_VALID,
  '--raw': 'make a kubeconfig with `gantry kubeconfig`, and ask with `kubectl get --raw`',
  '--pod-running-timeout': '`gantry wait --for=condition=Ready pod/NAME` waits for a pod',
  '--kubeconfig': CONTEXT,
  '--cluster': CONTEXT,
  '--user': CONTEXT,
  '--token': CONTEXT,
  '--as': CONTEXT,
}
