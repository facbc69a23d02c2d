/** PodTemplates: plain data, of which nothing is made. */
import { templateWarnings } from '../../proto/objects/pod-warnings.ts'
import type { Strategy } from './strategy.ts'

export const podTemplateStrategy: Strategy<'PodTemplate'> = {
  warnings: ({ template }) => templateWarnings(template, 'template'),
}
