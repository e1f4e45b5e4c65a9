// The suite asks for Node 22 for the sake of one function, fs.globSync, which running a client never calls: with this,
// Node 20 (Debian's) reads its module too. `node --import ./node20.mjs …`
import { register } from 'node:module'

const fs = "export * from 'node:fs'; export const globSync = () => { throw new Error('Node 20 has no globSync') }"
const url = (code) => `data:text/javascript,${encodeURIComponent(code)}`
const resolve = `export const resolve = (name, context, next) =>
  name === 'fs' && /\\/conformance(-next)?\\/dist\\//.test(context.parentURL)
    ? { url: ${JSON.stringify(url(fs))}, shortCircuit: true } : next(name, context)`

register(url(resolve))
