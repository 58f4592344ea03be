'use strict';

/* What Vercel adds to Node's request and response: req.query, cookies, body; res.status(), send(),
 * json(), redirect().
 *
 * They stand in a prototype of their own between the object and Node's class. Express puts its
 * prototypes in the same place when it takes a request over, so its own send() and json() are the ones
 * that count in an Express application. */

const { createHash } = require('crypto');
const { hasBody } = require('./common');

const READ_AHEAD_MAX = 6 * 1024 * 1024; /* as large as a request to Lambda may be */

const READ_AHEAD = Symbol('mayfly.readAhead');

/* A mistake of the client's that is answered with its status. */
class ApiError extends Error {
  constructor(statusCode, message, options) {
    super(message, options);
    this.name = 'ApiError';
    this.statusCode = statusCode;
  }
}

function typeOf(req) {
  return (req.headers['content-type'] || '').split(';', 1)[0].trim().toLowerCase();
}

/* ---- the request ---- */

function parseQuery(url) {
  const mark = url.indexOf('?');
  const query = {};
  if (mark < 0) return query;
  for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
    if (name === '__proto__') continue;
    if (!Object.hasOwn(query, name)) query[name] = value;
    else query[name] = [].concat(query[name], value);
  }
  return query;
}

function decodeCookie(value) {
  if (value.length > 1 && value.startsWith('"') && value.endsWith('"')) value = value.slice(1, -1);
  try {
    return value.includes('%') ? decodeURIComponent(value) : value;
  } catch {
    return value;
  }
}

/* The first of a name counts. */
function parseCookies(header) {
  const cookies = {};
  for (const pair of (header || '').split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(at, 0)).trim();
    if (name === '' || name === '__proto__' || Object.hasOwn(cookies, name)) continue;
    cookies[name] = decodeCookie(pair.slice(at + 1).trim());
  }
  return cookies;
}

function parseForm(text) {
  return parseQuery(`?${text}`);
}

function parseBody(req) {
  const type = typeOf(req);
  const body = req[READ_AHEAD];

  if (body === undefined) return undefined;
  if (body === null)
    throw new ApiError(413, `the body is longer than the ${READ_AHEAD_MAX / 1024 / 1024} MB that req.body takes; ` +
      'read it as a stream: for await (const chunk of req)');
  if (type === 'application/octet-stream') return body;
  if (type === 'application/x-www-form-urlencoded') return parseForm(body.toString());
  if (type === 'text/plain') return body.toString();
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new ApiError(400, 'Invalid JSON', { cause: error });
  }
}

/* A getter that works once, on the object that it is asked of, and may be written over. */
function lazy(prototype, name, make) {
  const settle = (object, value) => {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
    return value;
  };
  Object.defineProperty(prototype, name, {
    configurable: true,
    enumerable: true,
    get() { return settle(this, make(this)); },
    set(value) { settle(this, value); },
  });
}

/* ---- the response ---- */

const TYPES = { html: 'text/html; charset=utf-8', bytes: 'application/octet-stream',
  json: 'application/json; charset=utf-8' };

function etagOf(body) {
  return `W/"${body.length.toString(16)}-${createHash('sha1').update(body).digest('base64').slice(0, 27)}"`;
}

function isFresh(res, etag) {
  const { req, statusCode } = res;
  const wanted = req.headers['if-none-match'];
  if (wanted === undefined || statusCode !== 200 || (req.method !== 'GET' && req.method !== 'HEAD')) return false;
  const strip = (tag) => tag.trim().replace(/^W\//, '');
  return wanted.trim() === '*' || wanted.split(',').some((tag) => strip(tag) === strip(etag));
}

/* Text's encoding is UTF-8, whatever the author's Content-Type says of it. */
function withCharset(type) {
  return typeof type === 'string' && type.startsWith('text/') && !/charset/i.test(type) ?
    `${type}; charset=utf-8` : type;
}

const helpers = {
  status(code) {
    this.statusCode = code;
    return this;
  },

  send(body) {
    let bytes = null;

    if (typeof body === 'string') {
      this.setHeader('Content-Type', withCharset(this.getHeader('content-type')) || TYPES.html);
      bytes = Buffer.from(body);
    } else if (body instanceof Uint8Array) {
      if (!this.hasHeader('content-type')) this.setHeader('Content-Type', TYPES.bytes);
      bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    } else if (body !== null && body !== undefined) {
      return helpers.json.call(this, body);
    }
    if (bytes) {
      if (!this.hasHeader('etag')) this.setHeader('ETag', etagOf(bytes));
      if (isFresh(this, String(this.getHeader('etag')))) this.statusCode = 304;
    }
    if (this.statusCode === 204 || this.statusCode === 304) {
      for (const name of ['content-type', 'content-length', 'transfer-encoding']) this.removeHeader(name);
      bytes = null;
    } else {
      this.setHeader('Content-Length', bytes ? bytes.length : 0);
    }
    if (bytes && this.req.method !== 'HEAD') this.end(bytes);
    else this.end();
    return this;
  },

  json(body) {
    const text = JSON.stringify(body);
    if (!this.hasHeader('content-type')) this.setHeader('Content-Type', TYPES.json);
    return helpers.send.call(this, text === undefined ? '' : text);
  },

  redirect(statusOrUrl, url) {
    const [status, to] = typeof statusOrUrl === 'string' ? [307, statusOrUrl] : [statusOrUrl, url];
    if (typeof status !== 'number' || typeof to !== 'string')
      throw new TypeError('res.redirect() takes a URL, or a status and a URL: res.redirect(308, "/there")');
    this.statusCode = status;
    this.setHeader('Location', to);
    this.setHeader('Content-Length', 0);
    this.end();
    return this;
  },
};

/* ---- both ---- */

/* One for each of Node's classes that occurs. */
const dressed = new Map();

function dress(object, add) {
  const below = Object.getPrototypeOf(object);
  if (!dressed.has(below)) {
    const prototype = Object.create(below);
    add(prototype);
    dressed.set(below, prototype);
  }
  Object.setPrototypeOf(object, dressed.get(below));
}

function addToRequest(prototype) {
  lazy(prototype, 'query', (req) => parseQuery(req.url));
  lazy(prototype, 'cookies', (req) => parseCookies(req.headers.cookie));
  lazy(prototype, 'body', parseBody);
}

function addToResponse(prototype) {
  for (const [name, value] of Object.entries(helpers))
    Object.defineProperty(prototype, name, { value, enumerable: true, configurable: true, writable: true });
}

function addHelpers(req, res) {
  dress(req, addToRequest);
  dress(res, addToResponse);
}

/* ---- reading ahead ---- */

const PARSED_TYPES = new Set(['application/json', 'application/octet-stream', 'application/x-www-form-urlencoded',
  'text/plain']);

/* req.body is read without waiting, so the body must be there before the handler is called. Only
 * bodies of the types that req.body knows are read ahead, and none that says it is longer than the
 * ceiling. What was read is put back, so that the request can still be read as a stream. */
function readAhead(req) {
  const type = typeOf(req);
  const length = req.headers['content-length'];

  req[READ_AHEAD] = undefined;
  if (!PARSED_TYPES.has(type) && !/^application\/[\w.+-]+\+json$/.test(type)) return Promise.resolve();
  if (!hasBody(req)) {
    req[READ_AHEAD] = Buffer.alloc(0);
    return Promise.resolve();
  }
  req[READ_AHEAD] = null;
  if (length !== undefined && Number(length) > READ_AHEAD_MAX) return Promise.resolve();
  return new Promise((resolve) => {
    const chunks = [];
    let size = 0;
    const finish = () => {
      req.removeListener('readable', onReadable);
      req.removeListener('close', finish);
      if (size > 0 && !req.destroyed) req.unshift(Buffer.concat(chunks));
      if (req.complete) req[READ_AHEAD] = Buffer.concat(chunks);
      resolve();
    };
    const onReadable = () => {
      let chunk;
      /* Everything is there once the message is complete; reading on would make the stream end. */
      while (size <= READ_AHEAD_MAX && req.readableLength > 0 && (chunk = req.read(req.readableLength)) !== null) {
        chunks.push(chunk);
        size += chunk.length;
      }
      if (req.complete || size > READ_AHEAD_MAX) finish();
      else req.read(0);
    };
    req.on('readable', onReadable);
    req.on('close', finish);
  });
}

module.exports = { ApiError, addHelpers, readAhead };
