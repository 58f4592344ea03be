'use strict';

/* A Web Response, written to Node's. */

const { Readable } = require('stream');
const { HostError } = require('./common');

/* These are for the server to say, not for the function; so is the Content-Length of a body that
 * comes as a stream, unless the author knows it. */
const NOT_THE_AUTHORS = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding',
  'upgrade']);

function putHeaders(res, headers) {
  const cookies = typeof headers.getSetCookie === 'function' ? headers.getSetCookie() : [];

  headers.forEach((value, name) => {
    if (NOT_THE_AUTHORS.has(name)) return;
    if (name !== 'set-cookie') res.setHeader(name, value);
    else if (cookies.length === 0) res.appendHeader ? res.appendHeader(name, value) : res.setHeader(name, value);
  });
  if (cookies.length > 0) res.setHeader('Set-Cookie', cookies);
}

function asBytes(chunk) {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  if (chunk instanceof Uint8Array) return chunk;
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (chunk instanceof ArrayBuffer) return Buffer.from(chunk);
  throw new TypeError(`the Response's body gave a chunk that is no bytes: ${typeof chunk}`);
}

/* Resolves when there is room again, to true; to false when nobody reads any more. */
function drained(res) {
  return new Promise((resolve) => {
    const go = () => {
      res.removeListener('drain', go);
      res.removeListener('close', go);
      resolve(!res.destroyed);
    };
    res.on('drain', go);
    res.on('close', go);
  });
}

/* The body's pieces: { next(), cancel() }. */
function piecesOf(body) {
  if (typeof body.getReader === 'function') {
    const reader = body.getReader();
    return { next: () => reader.read(), cancel: () => reader.cancel().catch(() => {}) };
  }
  const iterator = (body instanceof Readable ? body : Readable.from(body))[Symbol.asyncIterator]();
  return { next: () => iterator.next(), cancel: () => Promise.resolve(iterator.return && iterator.return()).catch(() => {}) };
}

/* The second piece, if it is there already: then the body is short and can go out with its length. */
function soon(promise) {
  return new Promise((resolve, reject) => {
    promise.then(resolve, reject);
    setImmediate(() => setImmediate(() => resolve(null)));
  });
}

async function sendBody(res, body, method) {
  const pieces = piecesOf(body);
  const cancel = () => { if (!res.writableFinished) pieces.cancel(); };

  res.once('close', cancel); /* the client has left */
  if (method === 'HEAD') {
    await pieces.cancel();
    return res.end();
  }
  const first = await pieces.next();
  if (first.done) return res.end();
  const bytes = asBytes(first.value);
  let next = pieces.next();
  next.catch(() => {}); /* it is awaited below */
  const second = await soon(next);
  if (second && second.done) return res.end(bytes);
  let hasRoom = bytes.length > 0 ? res.write(bytes) : (res.flushHeaders(), true);
  for (;;) {
    if (!hasRoom && !(await drained(res))) return pieces.cancel();
    const piece = await next;
    if (piece.done) return res.end();
    hasRoom = res.write(asBytes(piece.value));
    next = pieces.next();
    next.catch(() => {});
  }
}

async function send(res, response, method) {
  const { status } = response;

  if (response.type === 'error' || status < 200 || status > 599)
    throw new HostError('Runtime.InvalidResponse', `the function answered with Response.error() or the status ${status}`);
  if (response.bodyUsed || (response.body && response.body.locked))
    throw new HostError('Runtime.InvalidResponse',
      'the body of the Response was read already; return response.clone(), or a new Response');
  res.statusCode = status;
  if (response.statusText) res.statusMessage = response.statusText;
  putHeaders(res, response.headers);
  if (response.body === null || response.body === undefined || status === 204 || status === 205 || status === 304) {
    if (status !== 204 && status !== 304 && method !== 'HEAD') res.setHeader('Content-Length', 0);
    res.end();
    return;
  }
  await sendBody(res, response.body, method);
}

module.exports = { send };
