/** Kubernetes' own forms of names. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library */
import { Optional, type Environment } from '@marcbachmann/cel-js'
import { formats } from '../../../proto/base/format.ts'
import { formatFlaw } from '../../../proto/validation/custom/formats.ts'
import { define, Namespace } from './define.ts'

class FormatNamespace extends Namespace {}

class Format {
  readonly flaw: (text: string) => string | undefined

  constructor(flaw: (text: string) => string | undefined) {
    this.flaw = flaw
  }
}

const DNS_1035 = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/
const QUALIFIED = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

const form =
  (pattern: RegExp, message: string) =>
  (text: string): string | undefined =>
    pattern.test(text) ? undefined : message
const named =
  (name: 'dnsLabel' | 'dnsSubdomain') =>
  (text: string): string | undefined =>
    formats[name](text)?.message
/** With something behind: the end may be a dash. */
const prefix =
  (flaw: (text: string) => string | undefined) =>
  (text: string): string | undefined =>
    flaw(`${text}x`)
const openApi =
  (name: string) =>
  (text: string): string | undefined =>
    formatFlaw(name, text)

const FORMATS: Readonly<Record<string, (text: string) => string | undefined>> = {
  dns1123Label: named('dnsLabel'),
  dns1123Subdomain: named('dnsSubdomain'),
  dns1035Label: form(DNS_1035, 'is not a DNS-1035 label'),
  qualifiedName: form(QUALIFIED, 'is not a qualified name'),
  dns1123LabelPrefix: prefix(named('dnsLabel')),
  dns1123SubdomainPrefix: prefix(named('dnsSubdomain')),
  dns1035LabelPrefix: prefix(form(DNS_1035, 'is not a DNS-1035 label')),
  labelValue: form(LABEL_VALUE, 'is not the value of a label'),
  uri: openApi('uri'),
  uuid: openApi('uuid'),
  byte: openApi('byte'),
  date: openApi('date'),
  datetime: openApi('datetime'),
}

export function registerFormats(environment: Environment): void {
  define(
    environment,
    {
      ...Object.fromEntries(
        Object.entries(FORMATS).map(([name, flaw]) => [`FormatNamespace.${name}(): Format`, () => new Format(flaw)]),
      ),
      'FormatNamespace.named(string): optional<Format>': (_format: FormatNamespace, name: string) =>
        Object.hasOwn(FORMATS, name) ? Optional.of(new Format(FORMATS[name]!)) : Optional.none(),
      'Format.validate(string): optional<list<string>>': ({ flaw }: Format, text: string) => {
        const message = flaw(text)
        return message === undefined ? Optional.none() : Optional.of([message])
      },
    },
    { format: FormatNamespace },
    [Format],
  )
}
