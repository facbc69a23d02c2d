/** Words that kubectl's and docker's users type and Gantry does not have: what does the same here, as a remedy. */
export const elsewhere: Readonly<Record<string, string>> = {
  autoscale: '`gantry scale TYPE/NAME --replicas N` sets the number',
  build: 'build images with another program and push them to a registry',
  'cluster-info': '`gantry version` and `gantry get nodes -o wide` tell about the cluster',
  debug: '`gantry exec -it POD -- sh` runs a shell in a container; with `gantry kubeconfig`, `kubectl debug` adds one to a pod',
  images: '`gantry get node NAME -o yaml` lists the images on a node',
  inspect: '`gantry describe TYPE/NAME` and `gantry get TYPE/NAME -o yaml` tell all',
  kill: '`gantry delete pod NAME --now` ends a pod',
  ps: '`gantry get pods` lists what runs',
  replace: '`gantry apply -f FILE --force-conflicts` makes an object what the file says',
  restart: '`gantry rollout restart deploy/NAME` starts new pods',
  rm: '`gantry delete TYPE NAME` deletes',
  start: '`gantry run NAME --image=IMAGE` and `gantry apply -f FILE` start pods',
  stop: '`gantry delete pod NAME` ends a pod, `gantry scale TYPE/NAME --replicas 0` all of a workload',
}
