'use strict';

/* What the kinds of handlers have in common. */

const net = require('net');

const HTTP_METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH'];

/* A mistake that the runtime has found, not the author's code: it has a type of ours and no stack. */
class HostError extends Error {
  constructor(errorType, message, options) {
    super(message, options);
    this.name = this.errorType = errorType;
    this.stack = `${errorType}: ${message}`;
  }
}
Object.defineProperty(HostError.prototype, 'isHostError', { value: true });

function hasBody(req) {
  const length = req.headers['content-length'];
  return length === undefined ? req.headers['transfer-encoding'] !== undefined : length !== '0';
}

/* The whole body, as one Buffer. The function's limit of memory is the ceiling. */
function readBody(req) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.once('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
    req.once('error', reject);
    req.once('close', () => {
      if (!req.complete) reject(new HostError('Runtime.ClientGone', 'the request ended before its body did'));
    });
  });
}

/* When the response has been handed to the kernel, or can no longer be. */
function ended(res) {
  if (res.writableFinished || res.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    res.once('finish', resolve);
    res.once('close', resolve);
  });
}

/* The connection ends at the gateway, which says who the client is. Code for an http.Server asks
 * the socket. */
function nameClient(req) {
  const address = req.headers['mayfly-client-ip'] || '127.0.0.1';
  Object.defineProperties(req.socket, {
    remoteAddress: { value: address, configurable: true },
    remoteFamily: { value: net.isIPv6(address) ? 'IPv6' : 'IPv4', configurable: true },
    remotePort: { value: 0, configurable: true },
  });
}

/* A response as the Web has it, whoever's class it is. */
function isResponse(value) {
  return value !== null && typeof value === 'object' && typeof value.status === 'number' &&
    value.headers !== null && typeof value.headers === 'object' &&
    typeof value.headers.get === 'function' && 'body' in value;
}

/* "GET /path" for messages. */
function nameOf(req) {
  return `${req.method} ${req.url.split('?', 1)[0]}`;
}

module.exports = { HTTP_METHODS, HostError, hasBody, readBody, ended, nameClient, isResponse, nameOf };
