/**
 * Words that users of kubectl, docker and nomad type and Gantry does not have: what does the same here, as a remedy.
 */
export const unsupportedCommandHints: Readonly<Record<string, string>> = {
  alloc: '`gantry get pods` lists what runs, `gantry describe pod NAME` tells about one',
  'api-versions': '`gantry api-resources` lists the kinds with their versions',
  auth: '`kubectl auth can-i` and `whoami` tell, with `gantry kubeconfig`',
  autoscale: '`gantry scale TYPE/NAME --replicas N` sets the number',
  build: 'build images with another program and push them to a registry',
  'cluster-info': '`gantry version` and `gantry get nodes -o wide` tell about the cluster',
  compose: '`gantry apply -f FILE` runs what manifests say',
  context: '`gantry config get-contexts` lists clusters, `gantry config use-context NAME` chooses one',
  debug:
    '`gantry exec -it POD -- sh` runs a shell in a container; with `gantry kubeconfig`, `kubectl debug` adds one to a pod',
  down: '`gantry rig down` ends a rig, `gantry delete -f FILE` what manifests say',
  images: '`gantry get node NAME -o yaml` lists the images on a node',
  info: '`gantry version` and `gantry get nodes -o wide` tell about the cluster',
  inspect: '`gantry describe TYPE/NAME` and `gantry get TYPE/NAME -o yaml` tell all',
  job: '`gantry apply -f FILE` runs what manifests say, `gantry get deploy,pods` lists it',
  kill: '`gantry delete pod NAME --now` ends a pod',
  login:
    '`gantry create secret docker-registry NAME …` keeps credentials for pods, which name it in imagePullSecrets; `gantry config` chooses the cluster',
  network: '`gantry get networks` lists the networks, `gantry net check` looks whether they work',
  node: '`gantry get nodes` lists the nodes, `gantry drain NODE` empties one',
  ps: '`gantry get pods` lists what runs',
  pull: 'nodes pull the images of their pods themselves; `gantry rig load IMAGE` hands one to every node of a rig',
  push: 'push images to a registry with another program',
  replace: '`gantry apply -f FILE --force-conflicts` makes an object what the file says',
  restart: '`gantry rollout restart deploy/NAME` starts new pods',
  rm: '`gantry delete TYPE NAME` deletes',
  service:
    '`gantry get services` lists the services, `gantry scale`, `gantry set image` and `gantry rollout` work on their deployments',
  stack: '`gantry apply -f FILE --set NAME` deploys a set, `gantry get all -l gantry.dev/set=NAME` lists it',
  start: '`gantry run NAME --image=IMAGE` and `gantry apply -f FILE` start pods',
  stats: '`gantry top pods` and `gantry top nodes` show what is used',
  status: '`gantry get all`, `gantry describe TYPE/NAME` and, of a rig, `gantry rig status` tell',
  stop: '`gantry delete pod NAME` ends a pod, `gantry scale TYPE/NAME --replicas 0` all of a workload',
  up: '`gantry rig up` makes a cluster on this host, `gantry apply -f FILE` runs what manifests say',
  volume: "volumes stand in the manifests of pods; `gantry describe pod NAME` lists a pod's",
}
