/**
 * Every command by its name; each is loaded when it runs. Summaries stand here too, so that the overview loads none.
 */
import type { Entry } from '../../proto/terminal/command.ts'

const OBJECTS = 'Objects'
const PODS = 'Pods'
const WORKLOADS = 'Workloads and nodes'
const OTHER = 'Other'

export const commands: Readonly<Record<string, Entry>> = {
  apply: {
    group: OBJECTS,
    summary: 'make the cluster match manifests',
    load: async () => (await import('./apply.ts')).default,
  },
  create: {
    group: OBJECTS,
    summary: 'create objects, or fail if they exist',
    load: async () => (await import('./create.ts')).default,
  },
  expose: {
    group: OBJECTS,
    summary: "make a service for a workload's pods",
    load: async () => (await import('./expose.ts')).default,
  },
  diff: {
    group: OBJECTS,
    summary: 'show what apply would change',
    load: async () => (await import('./diff.ts')).default,
  },
  get: { group: OBJECTS, summary: 'list objects', load: async () => (await import('./get.ts')).default },
  describe: {
    group: OBJECTS,
    summary: 'tell everything about objects',
    load: async () => (await import('./describe.ts')).default,
  },
  delete: { group: OBJECTS, summary: 'delete objects', load: async () => (await import('./delete.ts')).default },
  edit: {
    group: OBJECTS,
    summary: 'change objects in an editor',
    load: async () => (await import('./edit.ts')).default,
  },
  patch: {
    group: OBJECTS,
    summary: 'change parts of an object',
    load: async () => (await import('./patch.ts')).default,
  },
  label: { group: OBJECTS, summary: 'set or remove labels', load: async () => (await import('./label.ts')).label },
  annotate: {
    group: OBJECTS,
    summary: 'set or remove annotations',
    load: async () => (await import('./label.ts')).annotate,
  },
  wait: {
    group: OBJECTS,
    summary: 'wait until objects are in a state',
    load: async () => (await import('./wait.ts')).default,
  },
  logs: { group: PODS, summary: 'show what containers wrote', load: async () => (await import('./logs.ts')).default },
  exec: { group: PODS, summary: 'run a command in a container', load: async () => (await import('./exec.ts')).default },
  attach: {
    group: PODS,
    summary: "join a running container's own input and output",
    load: async () => (await import('./attach.ts')).default,
  },
  cp: {
    group: PODS,
    summary: 'copy files out of a container and into it',
    load: async () => (await import('./cp.ts')).default,
  },
  'port-forward': {
    group: PODS,
    summary: 'reach ports of a pod from this machine',
    load: async () => (await import('./port-forward.ts')).default,
  },
  proxy: {
    group: PODS,
    summary: 'reach pods and services by HTTP from this machine',
    load: async () => (await import('./proxy.ts')).default,
  },
  run: { group: PODS, summary: 'run an image in a pod', load: async () => (await import('./run.ts')).default },
  why: {
    group: PODS,
    summary: 'tell why a pod is where it is, or nowhere',
    load: async () => (await import('./why.ts')).default,
  },
  events: { group: PODS, summary: 'show what happened', load: async () => (await import('./events.ts')).default },
  scale: {
    group: WORKLOADS,
    summary: 'set how many replicas run',
    load: async () => (await import('./scale.ts')).default,
  },
  rollout: {
    group: WORKLOADS,
    summary: 'follow, undo, restart or pause a rollout',
    load: async () => (await import('./rollout.ts')).default,
  },
  set: {
    group: WORKLOADS,
    summary: 'set images, variables and resources of containers',
    load: async () => (await import('./set.ts')).default,
  },
  cordon: {
    group: WORKLOADS,
    summary: 'keep new pods off nodes',
    load: async () => (await import('./cordon.ts')).cordon,
  },
  uncordon: {
    group: WORKLOADS,
    summary: 'let new pods onto nodes again',
    load: async () => (await import('./cordon.ts')).uncordon,
  },
  drain: {
    group: WORKLOADS,
    summary: 'empty nodes for their maintenance',
    load: async () => (await import('./drain.ts')).default,
  },
  taint: {
    group: WORKLOADS,
    summary: 'keep pods off nodes unless they tolerate it',
    load: async () => (await import('./taint.ts')).default,
  },
  top: {
    group: WORKLOADS,
    summary: 'show what nodes and pods use',
    load: async () => (await import('./top.ts')).default,
  },
  net: { group: WORKLOADS, summary: 'look into the network', load: async () => (await import('./net.ts')).default },
  explain: {
    group: OTHER,
    summary: 'document a kind and its fields',
    load: async () => (await import('./explain.ts')).default,
  },
  'api-resources': {
    group: OTHER,
    summary: 'list the kinds',
    load: async () => (await import('./api-resources.ts')).default,
  },
  rig: {
    group: OTHER,
    verbatim: true,
    summary: 'make and break clusters of several machines on this host',
    load: async () => (await import('./rig.ts')).default,
  },
  config: { group: OTHER, summary: 'see and change contexts', load: async () => (await import('./config.ts')).default },
  kubeconfig: {
    group: OTHER,
    summary: 'print a kubeconfig, for kubectl and other clients',
    load: async () => (await import('./kubeconfig.ts')).default,
  },
  version: {
    group: OTHER,
    summary: 'show the versions of client and server',
    load: async () => (await import('./version.ts')).default,
  },
  completion: {
    group: OTHER,
    summary: 'print a completion script for a shell',
    load: async () => (await import('./completion.ts')).default,
  },
  __complete: {
    group: OTHER,
    hidden: true,
    summary: 'offer completions',
    load: async () => (await import('./complete.ts')).default,
  },
}
