/**
 * Gateway, GatewayClass, HTTPRoute, ReferenceGrant: the rules of https://gateway-api.sigs.k8s.io/reference/spec/ that
 * hold between fields.
 */
import type {
  Gateway,
  GatewayClass,
  HTTPBackendRef,
  HTTPHeaderFilter,
  HTTPPathModifier,
  HTTPRoute,
  HTTPRouteFilter,
  HTTPRouteMatch,
  HTTPRouteRule,
  Listener,
  ReferenceGrant,
} from '../gen/types.ts'
import { parseGatewayDuration } from '../objects/ingress/duration.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { atMost, validateHeaderName, validateHeaderValue, validateHostname, validatePath } from './ingress.ts'
import { validateIp } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const gatewayClassRules: KindRules<'GatewayClass'> = { object: validateGatewayClass }

export const gatewayRules: KindRules<'Gateway'> = { object: validateGateway, status: validateGatewayStatus }

export const httpRouteRules: KindRules<'HTTPRoute'> = {
  object: validateHTTPRoute,
  status(report, { status: { parents = [] } }) {
    parents.forEach(({ parentRef }, index) =>
      validateGroup(report, fieldPath(entryPath('status.parents', index), 'parentRef.group'), parentRef?.group),
    )
  },
}

export const referenceGrantRules: KindRules<'ReferenceGrant'> = { object: validateReferenceGrant }

function validateGatewayClass(report: Report, { spec }: GatewayClass): void {
  if ((spec.description ?? '').length > 64)
    report.refused('spec.description', 'is too long', 'give at most 64 characters', 'FieldValueTooLong')
}

function validateGateway(report: Report, { spec }: Gateway): void {
  const listeners: readonly Listener[] = spec.listeners ?? []
  atMost(report, 'spec.listeners', listeners, 64)
  const seen = new Map<string, string>()
  listeners.forEach((listener, index) => {
    const at = entryPath('spec.listeners', index)
    const { hostname, port, protocol, tls, allowedRoutes } = listener
    if (hostname !== undefined && hostname !== '') validateHostname(report, `${at}.hostname`, hostname)
    const key = `${port} ${protocol} ${hostname ?? ''}`
    const before = seen.get(key)
    if (before !== undefined)
      report.refused(
        at,
        'has the same port, protocol and hostname as another listener',
        `the other is ${before}; keep one`,
        'FieldValueDuplicate',
      )
    else seen.set(key, at)
    if (tls !== undefined && ['HTTP', 'TCP', 'UDP'].includes(protocol))
      report.refused(`${at}.tls`, `is not allowed with protocol ${protocol}`)
    if (protocol === 'HTTPS' && tls?.mode !== 'Passthrough' && (tls?.certificateRefs ?? []).length === 0)
      report.missing(`${at}.tls.certificateRefs`, 'name a Secret of type kubernetes.io/tls')
    atMost(report, `${at}.tls.certificateRefs`, tls?.certificateRefs, 64)
    const { from, selector } = allowedRoutes?.namespaces ?? { from: 'Same' }
    if (from === 'Selector' && selector === undefined)
      report.missing(`${at}.allowedRoutes.namespaces.selector`, 'from: Selector needs one')
  })
}

function validateHTTPRoute(report: Report, { spec }: HTTPRoute): void {
  atMost(report, 'spec.parentRefs', spec.parentRefs, 32)
  atMost(report, 'spec.hostnames', spec.hostnames, 16)
  atMost(report, 'spec.rules', spec.rules, 16)
  const parents = new Set<string>()
  spec.parentRefs?.forEach(({ group, kind, namespace = '', name, sectionName = '', port = 0 }, index) => {
    const key = JSON.stringify([group, kind, namespace, name, sectionName, port])
    if (parents.has(key))
      report.refused(
        entryPath('spec.parentRefs', index),
        'names the same parent twice',
        'keep one, or give them different sectionName or port',
        'FieldValueDuplicate',
      )
    parents.add(key)
  })
  spec.hostnames?.forEach((hostname, index) => validateHostname(report, entryPath('spec.hostnames', index), hostname))
  spec.rules?.forEach((rule, index) => validateRule(report, entryPath('spec.rules', index), rule))
}

function validateRule(report: Report, at: string, rule: HTTPRouteRule): void {
  const { matches = [], filters = [], backendRefs = [], timeouts } = rule
  atMost(report, `${at}.matches`, matches, 64)
  atMost(report, `${at}.backendRefs`, backendRefs, 16)
  matches.forEach((match, index) => validateMatch(report, entryPath(`${at}.matches`, index), match))
  validateFilters(report, `${at}.filters`, filters, matches)
  if (filters.some(({ type }) => type === 'RequestRedirect') && backendRefs.length > 0)
    report.refused(`${at}.backendRefs`, 'cannot stand beside the filter RequestRedirect')
  backendRefs.forEach((ref, index) => validateBackendRef(report, entryPath(`${at}.backendRefs`, index), ref, matches))
  for (const name of ['request', 'backendRequest'] as const) {
    const value = timeouts?.[name]
    if (value !== undefined && parseGatewayDuration(value) === undefined)
      report.wrong(
        `${at}.timeouts.${name}`,
        value,
        'is not a duration',
        'write it as 10s, 1h30m or 500ms; each number has at most 5 digits',
      )
  }
  const [request, backend] = [
    parseGatewayDuration(timeouts?.request ?? '0s'),
    parseGatewayDuration(timeouts?.backendRequest ?? '0s'),
  ]
  if (request !== undefined && request > 0 && backend !== undefined && backend > request)
    report.wrong(
      `${at}.timeouts.backendRequest`,
      timeouts?.backendRequest,
      'is longer than the timeout of the whole request',
      'give no more than timeouts.request',
    )
}

function validateBackendRef(
  report: Report,
  at: string,
  { group = '', kind, port, weight, filters = [] }: HTTPBackendRef,
  matches: readonly HTTPRouteMatch[],
): void {
  if (group === '' && kind === 'Service' && port === undefined) report.missing(`${at}.port`, 'a Service needs one')
  if (weight < 0 || weight > 1_000_000)
    report.wrong(`${at}.weight`, weight, 'is out of range', 'give a number from 0 to 1000000')
  validateFilters(report, `${at}.filters`, filters, matches)
}

function validateMatch(report: Report, at: string, { path, headers = [], queryParams = [] }: HTTPRouteMatch): void {
  atMost(report, `${at}.headers`, headers, 16)
  atMost(report, `${at}.queryParams`, queryParams, 16)
  if (path !== undefined) {
    if (path.value.length > 1024)
      report.refused(`${at}.path.value`, 'is too long', 'give at most 1024 characters', 'FieldValueTooLong')
    else if (path.type === 'RegularExpression') validateExpression(report, `${at}.path.value`, path.value)
    else validatePath(report, `${at}.path.value`, path.value)
  }
  headers.forEach(({ type, name, value }, index) => {
    const here = entryPath(`${at}.headers`, index)
    validateHeaderName(report, `${here}.name`, name)
    if (type === 'RegularExpression') validateExpression(report, `${here}.value`, value)
    else validateHeaderValue(report, `${here}.value`, value)
  })
  queryParams.forEach(({ type, name, value }, index) => {
    const here = entryPath(`${at}.queryParams`, index)
    validateHeaderName(report, `${here}.name`, name)
    if (type === 'RegularExpression') validateExpression(report, `${here}.value`, value)
    else validateHeaderValue(report, `${here}.value`, value)
  })
}

/** The proxy's own check comes later, with PCRE: this one finds what both dialects refuse. */
function validateExpression(report: Report, path: string, value: string): void {
  validateHeaderValue(report, path, value)
  try {
    new RegExp(value)
  } catch {
    if (!value.includes('(?'))
      report.wrong(
        path,
        value,
        'is not a regular expression',
        'see the syntax of PCRE: https://www.pcre.org/current/doc/html/pcre2syntax.html',
      )
  }
}

/** Which field belongs to which type. */
const FIELDS = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  ExtensionRef: 'extensionRef',
} as const

function validateFilters(
  report: Report,
  path: string,
  filters: readonly HTTPRouteFilter[],
  matches: readonly HTTPRouteMatch[],
): void {
  atMost(report, path, filters, 16)
  const types = new Set<string>()
  filters.forEach((filter, index) => {
    const at = entryPath(path, index)
    const { type, requestHeaderModifier, responseHeaderModifier, requestRedirect, urlRewrite } = filter
    if (types.has(type))
      report.refused(at, `is the second filter of type ${type}`, 'put them together in one', 'FieldValueDuplicate')
    types.add(type)
    const wanted = FIELDS[type]
    if (wanted !== undefined && filter[wanted] === undefined) report.missing(`${at}.${wanted}`, `type ${type} needs it`)
    for (const name of Object.values(FIELDS))
      if (name !== wanted && filter[name] !== undefined)
        report.refused(`${at}.${name}`, `does not belong to type ${type}`)
    if (requestHeaderModifier !== undefined)
      validateModifier(report, `${at}.requestHeaderModifier`, requestHeaderModifier)
    if (responseHeaderModifier !== undefined)
      validateModifier(report, `${at}.responseHeaderModifier`, responseHeaderModifier)
    if (requestRedirect !== undefined) {
      if (![301, 302].includes(requestRedirect.statusCode))
        report.wrong(
          `${at}.requestRedirect.statusCode`,
          requestRedirect.statusCode,
          'is not allowed',
          'give 301 or 302',
        )
      if (requestRedirect.path !== undefined)
        validateModifiedPath(report, `${at}.requestRedirect.path`, requestRedirect.path, matches)
    }
    if (urlRewrite?.path !== undefined) validateModifiedPath(report, `${at}.urlRewrite.path`, urlRewrite.path, matches)
  })
  if (types.has('RequestRedirect') && types.has('URLRewrite'))
    report.refused(path, 'has RequestRedirect and URLRewrite, only one is allowed', 'keep one')
}

function validateModifier(report: Report, at: string, { set = [], add = [], remove = [] }: HTTPHeaderFilter): void {
  for (const [name, headers] of [
    ['set', set],
    ['add', add],
  ] as const) {
    atMost(report, `${at}.${name}`, headers, 16)
    headers.forEach((header, index) => {
      validateHeaderName(report, `${entryPath(`${at}.${name}`, index)}.name`, header.name)
      validateHeaderValue(report, `${entryPath(`${at}.${name}`, index)}.value`, header.value)
    })
  }
  atMost(report, `${at}.remove`, remove, 16)
  remove.forEach((name, index) => validateHeaderName(report, entryPath(`${at}.remove`, index), name))
}

function validateModifiedPath(
  report: Report,
  at: string,
  { type, replaceFullPath, replacePrefixMatch }: HTTPPathModifier,
  matches: readonly HTTPRouteMatch[],
): void {
  const [wanted, other] =
    type === 'ReplaceFullPath'
      ? (['replaceFullPath', 'replacePrefixMatch'] as const)
      : (['replacePrefixMatch', 'replaceFullPath'] as const)
  const values = { replaceFullPath, replacePrefixMatch }
  const value = values[wanted]
  if (value === undefined) report.missing(`${at}.${wanted}`, `type ${type} needs it`)
  else if (value !== '') validatePath(report, `${at}.${wanted}`, value)
  if (values[other] !== undefined) report.refused(`${at}.${other}`, `does not belong to type ${type}`)
  if (type === 'ReplacePrefixMatch' && matches.some(({ path }) => path !== undefined && path.type !== 'PathPrefix'))
    report.refused(
      at,
      'replaces a prefix, but a match of the rule is no PathPrefix',
      'use ReplaceFullPath, or match by PathPrefix only',
      'FieldValueInvalid',
    )
}

function validateReferenceGrant(report: Report, { spec }: ReferenceGrant): void {
  atMost(report, 'spec.from', spec.from, 16)
  atMost(report, 'spec.to', spec.to, 16)
}

function validateGatewayStatus(report: Report, { status: { addresses = [], listeners = [] } }: Gateway): void {
  addresses.forEach(({ type = 'IPAddress', value }, index) => {
    const path = fieldPath(entryPath('status.addresses', index), 'value')
    if (type === 'IPAddress') validateIp(report, path, value)
    const flaw = type === 'Hostname' ? formats.dnsSubdomain(value ?? '') : undefined
    if (flaw !== undefined) report.wrong(path, value, flaw.message, flaw.remedy)
  })
  listeners.forEach(({ supportedKinds = [] }, index) => {
    const path = fieldPath(entryPath('status.listeners', index), 'supportedKinds')
    supportedKinds.forEach(({ group }, kind) => validateGroup(report, fieldPath(entryPath(path, kind), 'group'), group))
  })
}

/** Empty is the core group. */
function validateGroup(report: Report, path: string, group: string | undefined): void {
  const flaw = group === undefined || group === '' ? undefined : formats.dnsSubdomain(group)
  if (flaw !== undefined) report.wrong(path, group, flaw.message, flaw.remedy)
}
