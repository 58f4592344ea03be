'use strict';

/* Request -> Response, as in browsers: `fetch`, or functions named after methods. */

const { Readable } = require('stream');
const { HTTP_METHODS, HostError, ended, hasBody, isResponse, nameOf } = require('./common');
const { send } = require('./web-response');
const waitings = require('./waiting');

/* That the Web's Request refuses. */
const REFUSED_METHODS = new Set(['CONNECT', 'TRACE', 'TRACK']);

function urlOf(req) {
  const scheme = (req.headers['x-forwarded-proto'] || '').split(',', 1)[0].trim() === 'https' ? 'https' : 'http';
  const target = req.url.startsWith('/') ? req.url : `/${req.url}`;
  try {
    return new URL(`${scheme}://${req.headers.host || 'localhost'}${target}`).href;
  } catch {
    return new URL(`${scheme}://localhost${target}`).href;
  }
}

function headersOf(req) {
  const headers = new Headers();
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i];
    if (name.toLowerCase() !== 'transfer-encoding') headers.append(name, req.rawHeaders[i + 1]);
  }
  return headers;
}

function requestOf(req, signal) {
  const options = { method: req.method, headers: headersOf(req), signal };

  if (req.method !== 'GET' && req.method !== 'HEAD' && hasBody(req)) {
    options.body = Readable.toWeb(req);
    options.duplex = 'half';
  } else {
    req.resume(); /* a Request has no body with these methods */
  }
  return new Request(urlOf(req), options);
}

/* ---- which function ---- */

function allowed(handlers) {
  const names = HTTP_METHODS.filter((name) => handlers[name]);
  if (handlers.GET && !handlers.HEAD) names.splice(1, 0, 'HEAD');
  if (!handlers.OPTIONS) names.push('OPTIONS');
  return names.join(', ');
}

/* A function of the request, or null with the response ended. */
function functionFor(req, res, handlers) {
  if (handlers.fetch) return handlers.fetch;
  const own = Object.hasOwn(handlers, req.method) ? handlers[req.method] : null;
  if (own) return own;
  if (req.method === 'HEAD' && handlers.GET) return handlers.GET;
  res.statusCode = req.method === 'OPTIONS' ? 204 : 405;
  res.setHeader('Allow', allowed(handlers));
  res.end(req.method === 'OPTIONS' ? undefined : 'Method Not Allowed');
  return null;
}

/* Three parameters: (request, env, context), as Cloudflare has it; else (request, context). */
function argumentsOf(handler, request, waiting) {
  const context = { waitUntil: waiting.waitUntil, passThroughOnException() {}, params: {} };
  return handler.length >= 3 ? [request, process.env, context] : [request, context, context];
}

function describe(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  return value.constructor && value.constructor.name ? `an object of class ${value.constructor.name}` : 'an object';
}

async function handle(handlers, req, res) {
  const isEnded = ended(res);

  if (REFUSED_METHODS.has(req.method)) {
    res.statusCode = 405;
    res.end();
    return isEnded;
  }
  const handler = functionFor(req, res, handlers);
  if (!handler) {
    req.resume();
    return isEnded;
  }
  const waiting = waitings.begin(req);
  const gone = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  const request = requestOf(req, gone.signal);
  const response = await handler.call(handlers.self, ...argumentsOf(handler, request, waiting));
  if (!isResponse(response))
    throw new HostError('Runtime.InvalidResponse', `${nameOf(req)}: the function returned ${describe(response)} ` +
      'where a Response is wanted: return new Response(...) or Response.json(...)');
  await send(res, response, req.method);
  await isEnded;
  await waiting.settled();
}

/* As most do. Node loads the Web's classes when they are asked for the first time, which takes tens of
 * milliseconds. */
async function rehearsed(request) {
  if (request.method === 'GET') return new Response('text', { headers: { 'Content-Type': 'text/plain' } });
  return Response.json(await request.json());
}

function create(handlers) {
  waitings.install();
  return {
    handle: (req, res) => handle(handlers, req, res),
    rehearse: (req, res) => handle({ fetch: rehearsed }, req, res),
  };
}

module.exports = { create };
