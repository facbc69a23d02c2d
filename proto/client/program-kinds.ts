/**
 * The kinds that a client program knows: those of the schema, and what it has learned of its cluster's. One registry a
 * program: a word of a command line is read before it is known which cluster is meant. Control planes have their own.
 */
import { KindRegistry } from '../schema/kind-registry.ts'

export const programKinds = new KindRegistry()
