/**
 * What images are called in a rig's registry, which stands in for every registry on the rig's nodes: those of docker.io
 * by their repository, those of another registry in a folder of its name, where a "_" stands for the colon of a port.
 */
import type { Reference } from '../../../agent/images/reference.ts'

/** Where nodes look for it: "library/busybox", "registry.k8s.io/pause". */
export function repositoryInRig({ registry, repository }: Pick<Reference, 'registry' | 'repository'>): string {
  return registry === 'docker.io'
    ? repository
    : `${registry.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '_')}/${repository}`
}

/** What a manifest calls it, in its short form: "busybox:1.37", "registry.k8s.io/pause:3.10". */
export function imageName(repositoryInRig: string, tag: string): string {
  const [first = '', ...rest] = repositoryInRig.split('/')
  const name =
    rest.length > 0 && /[._]|^localhost$/.test(first)
      ? [first.replace(/_(\d+)$/, ':$1'), ...rest].join('/')
      : first === 'library' && rest.length === 1
        ? rest[0]!
        : repositoryInRig
  return `${name}:${tag}`
}
