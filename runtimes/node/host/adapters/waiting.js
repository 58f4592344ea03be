'use strict';

/* waitUntil(promise): work that goes on behind the response. The process stays until all of it is
 * settled, or until the deadline. Reached by the second argument of a Web handler, and as
 * `@vercel/functions` looks for it: by a symbol of the global object. */

const VERCEL_CONTEXT = Symbol.for('@vercel/request-context');

class Waiting {
  constructor() {
    this.promises = [];
    this.waitUntil = this.waitUntil.bind(this);
  }

  waitUntil(promise) {
    if (typeof promise === 'function') promise = promise();
    if (promise === null || typeof promise !== 'object' || typeof promise.then !== 'function')
      throw new TypeError('waitUntil() takes a promise');
    /* Nobody else waits for it, so nobody else would hear of its failure. */
    this.promises.push(Promise.resolve(promise).catch((error) => {
      console.error('waitUntil():', error);
    }));
  }

  /* One that is waited for may bring more. */
  async settled() {
    for (let i = 0; i < this.promises.length; i++) await this.promises[i];
  }
}

let current = null;

/* For the request that begins. */
function begin(req) {
  const waiting = new Waiting();
  current = { waitUntil: waiting.waitUntil, headers: req.headers, url: req.url };
  return waiting;
}

function install() {
  if (globalThis[VERCEL_CONTEXT]) return;
  Object.defineProperty(globalThis, VERCEL_CONTEXT,
    { value: { get: () => current || {} }, configurable: true, writable: true });
}

module.exports = { begin, install };
