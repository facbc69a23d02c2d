/** Gantry's version, as in package.json; the bundler writes it in. */
declare const GANTRY_VERSION: string | undefined

/**
 * The Kubernetes whose API this is: the middle one of the versions whose clients are served, since kubectl warns of a
 * server that is more than one away from it.
 */
export const KUBERNETES = { major: '1', minor: '33' } as const

export const VERSION = typeof GANTRY_VERSION === 'undefined' ? '0.1.0-source' : GANTRY_VERSION

/** What programs of Kubernetes compare and parse: of that Kubernetes, with Gantry's own version behind it. */
export const KUBERNETES_VERSION = `v${KUBERNETES.major}.${KUBERNETES.minor}.0+gantry-${VERSION}`
