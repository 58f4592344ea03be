'use strict';

/* Which kind of handler a module holds. By what can be seen without calling anything of it.
 *
 * prepare() is for before the module is loaded, choose() for afterwards; docs/NODE.md, "Which handler
 * kind", is this file in words. */

const fs = require('fs');
const capture = require('./capture');
const awslambda = require('./adapters/awslambda');
const { HTTP_METHODS, HostError } = require('./adapters/common');

const LISTEN_MS_MAX = 10000; /* to wait for a server, where the file's text has a listen() */
const LISTEN_MS_ELSE = 500;

function prepare() {
  awslambda.install();
  capture.install();
}

const isFunction = (value) => typeof value === 'function';

function isClass(value) {
  return isFunction(value) && /^class\b/.test(Function.prototype.toString.call(value));
}

/* What the file exports: an ES module's names, or module.exports; through as many `default`s as a
 * compiler has put around it. */
function layersOf(namespace) {
  const layers = [namespace];
  let inner = namespace;

  for (let i = 0; i < 4; i++) {
    inner = inner.default;
    if (inner === null || (typeof inner !== 'object' && !isFunction(inner)) || layers.includes(inner)) break;
    layers.push(inner);
  }
  return layers;
}

function find(layers, name) {
  for (const layer of layers) {
    const value = isFunction(layer) && !Object.hasOwn(layer, name) ? undefined : layer[name];
    if (value !== undefined && value !== null && value !== Object.prototype[name]) return value;
  }
  return undefined;
}

/* ---- kinds of objects ---- */

/* Express and connect are functions with handle(); Koa, Fastify, Hapi and Restify are objects. */
async function asServer(value) {
  if (value === null || (typeof value !== 'object' && !isFunction(value))) return null;
  if (capture.isHttpServer(value)) return { kind: 'server', handler: { server: value } };
  if (isFunction(value)) return isFunction(value.handle) && isFunction(value.use) ? { kind: 'server', handler: { listener: value } } : null;
  if (isFunction(value.callback) && isFunction(value.use)) /* Koa */
    return { kind: 'server', handler: { listener: value.callback() } };
  if (isFunction(value.ready) && isFunction(value.inject) && capture.isHttpServer(value.server)) { /* Fastify */
    await value.ready();
    return { kind: 'server', handler: { server: value.server } };
  }
  if (capture.isHttpServer(value.server)) return { kind: 'server', handler: { server: value.server } };
  if (isFunction(value.use) && isFunction(value.handler)) /* Polka */
    return { kind: 'server', handler: { listener: value.handler.bind(value) } };
  return null;
}

function asFetch(value) {
  return value !== null && typeof value === 'object' && isFunction(value.fetch) ?
    { kind: 'web', handler: { fetch: value.fetch, self: value } } : null;
}

function namedMethods(layers) {
  const handler = {};
  for (const layer of layers) {
    for (const name of HTTP_METHODS) {
      if (!handler[name] && isFunction(layer[name])) handler[name] = layer[name];
    }
  }
  return Object.keys(handler).length > 0 ? { kind: 'web', handler } : null;
}

/* export const config = { runtime: 'edge' } */
function isEdge(layers) {
  const config = find(layers.slice(0, 1), 'config');
  return Boolean(config) && /^(experimental-)?edge$/.test(config.runtime);
}

/* The names of a function's first parameters, as far as they are plain. */
function parametersOf(fn) {
  const text = Function.prototype.toString.call(fn).replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, '');
  const list = /^[^(=]*\(([^)]*)/.exec(text) || /^\s*(?:async\s+)?([\w$]+)\s*=>/.exec(text);
  return list ? list[1].split(',').map((name) => name.trim()) : [];
}

/* Of a function with a name of its own. Lambda's, unless it says otherwise: the second parameter of
 * (req, res) tells it from (event, context). */
function byParameters(fn) {
  if (fn[awslambda.STREAMING] === 'response') return 'lambda';
  return /^(res|response)$/.test(parametersOf(fn)[1] || '') ? 'vercel' : 'lambda';
}

/* ---- the rules ---- */

function exported(layers) {
  const names = new Set();
  for (const layer of layers) {
    if (typeof layer === 'object') Object.keys(layer).forEach((name) => names.add(name));
  }
  if (layers.length > 1 && typeof layers[1] === 'object') names.delete('default'); /* module.exports as a whole */
  names.delete('module.exports');
  return names.size > 0 ? `it exports ${[...names].slice(0, 20).join(', ')}` : 'it exports nothing';
}

function missing(file, layers, name) {
  return new HostError('Runtime.HandlerNotFound', name === 'default' ?
    `${file} holds no handler: ${exported(layers)}, and no http.Server in it calls listen(). Any of these is one: ` +
      'export default function (req, res), export function GET(request), export function fetch(request), ' +
      'exports.handler = async (event, context) => ..., http.createServer(...).listen()' :
    `${file} exports no "${name}": ${exported(layers)}. Export a function of this name, or write another one behind ` +
      'the last dot of "handler" in mayfly.json');
}

function notCallable(file, name, value) {
  return new HostError('Runtime.HandlerNotFound', `${file}: "${name}" is ${isClass(value) ? 'a class' :
    value === null ? 'null' : `of type ${typeof value}`}, not a function that handles requests`);
}

/* Where the handler is the file as a whole. */
async function chooseDefault(layers, file) {
  const value = layers[layers.length - 1];
  const web = namedMethods(layers) || (isFunction(find(layers.slice(0, 1), 'fetch')) && { kind: 'web',
    handler: { fetch: find(layers, 'fetch') } });
  if (web) return web;
  for (const layer of layers) {
    if (asFetch(layer)) return asFetch(layer);
  }
  const server = capture.chosen();
  if (server) return { kind: 'server', handler: { server } };
  for (const layer of layers) {
    const app = await asServer(layer);
    if (app) return app;
  }
  if (isFunction(value) && !isClass(value)) {
    if (value[awslambda.STREAMING] === 'response') return { kind: 'lambda', handler: value };
    return isEdge(layers) ? { kind: 'web', handler: { fetch: value } } : { kind: 'vercel', handler: value };
  }
  if (isFunction(find(layers, 'handler'))) return chooseNamed(layers, 'handler', file);
  return null;
}

async function chooseNamed(layers, name, file) {
  const value = find(layers, name);

  if (value === undefined) return null;
  const other = await asServer(value) || asFetch(value);
  if (other) return other;
  if (!isFunction(value) || isClass(value)) throw notCallable(file, name, value);
  return { kind: byParameters(value), handler: value };
}

function mentionsListen(file) {
  try {
    return /\blisten\s*\(/.test(fs.readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}

/* {kind, handler} of what `symbol` names in the module that was loaded from the file. kind is the name
 * of an adapter. Rejects with a HostError. */
async function choose(namespace, symbol, file) {
  const layers = layersOf(namespace);
  const isWhole = symbol === 'default' || HTTP_METHODS.includes(symbol) || symbol === 'fetch';
  const pick = () => (isWhole ? chooseDefault(layers, file) : chooseNamed(layers, symbol, file));

  try {
    let choice = await pick();
    if (!choice) {
      const server = await capture.wait(mentionsListen(file) ? LISTEN_MS_MAX : LISTEN_MS_ELSE);
      choice = server ? { kind: 'server', handler: { server } } : await pick();
    }
    if (!choice) throw missing(file, layers, symbol);
    return choice;
  } finally {
    capture.uninstall();
  }
}

module.exports = { prepare, choose };
