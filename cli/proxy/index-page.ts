/** The first page of `gantry proxy`: every Service that it reaches. */
import type { Service } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'

export async function indexPage(cluster: ClusterClient): Promise<string> {
  const { items } = await cluster.list('Service', { namespace: '' })
  const rows = items.flatMap((service) =>
    linksOf(service).map(({ href, text }) => `<li><a href="${escape(href)}">${escape(text)}</a></li>`),
  )
  return `<!doctype html><meta charset="utf-8"><title>Services</title><h1>Services</h1><ul>${rows.join('\n')}</ul>${rows.length === 0 ? '<p>There are none that have pods and TCP ports.</p>' : ''}\n`
}

function linksOf({ metadata: { namespace, name }, spec }: Service): { href: string; text: string }[] {
  if (Object.keys(spec.selector ?? {}).length === 0) return []
  return (spec.ports ?? [])
    .filter(({ protocol }) => protocol === 'TCP')
    .map(({ port, name: called, appProtocol }) => {
      const tls = port === 443 || called === 'https' || appProtocol === 'https'
      return {
        href: `/api/v1/namespaces/${namespace}/services/${tls ? 'https:' : ''}${name}:${port}/proxy/`,
        text: `${namespace}/${name}:${port}${called === undefined || called === '' ? '' : ` (${called})`}`,
      }
    })
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
