/** Gantry's version, as in package.json; the bundler writes it in. */
declare const GANTRY_VERSION: string | undefined

export const VERSION = typeof GANTRY_VERSION === 'undefined' ? '0.1.0-source' : GANTRY_VERSION
