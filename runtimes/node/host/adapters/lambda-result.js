'use strict';

/* What a Lambda handler returns, as an HTTP response. The rules are those for Python's
 * (runtimes/python/mayfly_host/lambda_event.py). */

const http = require('http');
const { HostError } = require('./common');

const HEADERS_MAX = 96; /* what the gateway takes, less what is added on the way */

/* The connection's, which is not the function's. */
const NOT_THE_AUTHORS = new Set(['connection', 'content-length', 'keep-alive', 'proxy-connection', 'te', 'trailer',
  'transfer-encoding', 'upgrade']);

function marshalError(error) {
  return new HostError('Runtime.MarshalError', `Unable to marshal response: ${error.message}`);
}

/* Throws what JSON.stringify() throws. */
function stringify(value) {
  const text = JSON.stringify(value === undefined ? null : value);
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
  return text;
}

function isBytes(value) {
  return value instanceof Uint8Array || value instanceof ArrayBuffer ||
    Object.prototype.toString.call(value) === '[object Uint8Array]'; /* of another realm */
}

function bytesOf(value) {
  return Buffer.isBuffer(value) ? value : value.buffer ?
    Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(value);
}

function statusOf(value) {
  const status = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof status !== 'number' || !(status >= 200 && status < 600))
    throw new TypeError(`statusCode is ${typeof value === 'string' ? `"${value}"` : String(value)}, ` +
      'which is no status from 200 to 599');
  return Math.trunc(status);
}

/* A Map of the name in lower case to [name, value or array of values]. */
function headersOf(result) {
  const headers = new Map();
  const take = (name, value) => {
    if (value === null || value === undefined) return;
    http.validateHeaderName(name);
    for (const one of Array.isArray(value) ? value : [value]) http.validateHeaderValue(name, one);
    if (!NOT_THE_AUTHORS.has(name.toLowerCase())) headers.set(name.toLowerCase(), [name, value]);
  };
  const object = (value, what) => {
    if (value === null || value === undefined) return [];
    if (typeof value !== 'object' || Array.isArray(value)) throw new TypeError(`${what} is no object`);
    return Object.entries(value);
  };

  for (const [name, value] of object(result.headers, 'headers'))
    take(name, value === null || value === undefined ? value : String(value));
  for (const [name, value] of object(result.multiValueHeaders, 'multiValueHeaders')) /* payload format 1.0 */
    take(name, (Array.isArray(value) ? value : [value]).map(String));
  if (result.cookies !== null && result.cookies !== undefined) {
    if (!Array.isArray(result.cookies)) throw new TypeError('cookies is no array');
    const before = headers.get('set-cookie');
    take('Set-Cookie', (before ? [].concat(before[1]) : []).concat(result.cookies.map(String)));
  }
  let n = 0;
  for (const [, value] of headers.values()) n += Array.isArray(value) ? value.length : 1;
  if (n > HEADERS_MAX) throw new RangeError(`${n} headers are more than ${HEADERS_MAX}`);
  return headers;
}

function fromBase64(text) {
  const digits = text.replace(/[^A-Za-z0-9+/_-]/g, '');
  if (digits.length % 4 === 1) throw new TypeError('the body is not base64, but isBase64Encoded is true');
  return Buffer.from(digits, 'base64');
}

function bodyOf(result) {
  const { body } = result;
  if (body === null || body === undefined) return Buffer.alloc(0);
  if (isBytes(body)) return bytesOf(body);
  if (typeof body !== 'string') return Buffer.from(stringify(body));
  return result.isBase64Encoded ? fromBase64(body) : Buffer.from(body);
}

function send(res, status, headers, body) {
  res.statusCode = status;
  for (const [name, value] of headers.values()) res.setHeader(name, value);
  if (status !== 204 && status !== 304) res.setHeader('Content-Length', body.length);
  res.end(body);
}

const typed = (type) => new Map([['content-type', ['Content-Type', type]]]);

function answerJson(res, result) {
  let body;
  try {
    body = Buffer.from(stringify(result));
  } catch (error) {
    throw marshalError(error);
  }
  send(res, 200, typed('application/json'), body);
}

/* An object with statusCode is an answer; bytes are a body; anything else is JSON, status 200. */
function answer(res, result) {
  let status, headers, body;

  if (isBytes(result)) return send(res, 200, typed('application/octet-stream'), bytesOf(result));
  try {
    if (result !== null && typeof result === 'object' && typeof result.toJSON === 'function') result = result.toJSON();
    if (result === null || typeof result !== 'object' || !('statusCode' in result)) return answerJson(res, result);
    status = statusOf(result.statusCode);
    headers = headersOf(result);
    body = bodyOf(result);
  } catch (error) {
    throw error instanceof HostError ? error : marshalError(error);
  }
  if (!headers.has('content-type') && body.length > 0) headers.set('content-type', ['Content-Type', 'application/json']);
  send(res, status, headers, body);
}

module.exports = { answer, answerJson, headersOf, marshalError, statusOf };
