'use strict';

/* What makes a worker another process than its zygote, for JavaScript: its number, and random numbers
 * of its own.
 *
 * OpenSSL notices by the process' number that it has been forked. Two things do not: V8's Math.random(),
 * whose state is the heap's, and what node draws ahead for randomUUID() and randomInt(). So before the
 * function is loaded, Math.random() becomes one that can be seeded anew, whoever keeps a reference to
 * it; and as long as there is only the zygote, nothing is drawn ahead. What packages draw ahead: pools.js. */

const crypto = require('crypto');
const nodeModule = require('module');
const pools = require('./pools');

const state = new Uint32Array(4);
let addon;
let isZygote = true;

/* sfc32: a counter and three words, which is fast without BigInt and passes PractRand. */
function next() {
  const t = (state[0] + state[1] + state[3]) | 0;

  state[3] = state[3] + 1;
  state[0] = state[1] ^ (state[1] >>> 9);
  state[1] = state[2] + (state[2] << 3);
  state[2] = ((state[2] << 21) | (state[2] >>> 11)) + t;
  return t >>> 0;
}

/* 53 bits, as V8's. */
const { random } = {
  random() {
    return ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  },
};

function seed() {
  addon.draw(state);
  for (let i = 0; i < 12; i++) next();
}

function replace(object, name, value) {
  const before = Object.getOwnPropertyDescriptor(object, name);

  Object.defineProperty(value, 'name', { value: name, configurable: true });
  Object.defineProperty(value, 'length', { value: before.value.length, configurable: true });
  Object.defineProperty(object, name, { ...before, value });
}

function replaceCrypto() {
  const { randomUUID, randomInt, randomBytes } = crypto;
  const prototype = Object.getPrototypeOf(crypto.webcrypto);
  const webUUID = prototype.randomUUID;

  replace(crypto, 'randomUUID', (options) => {
    const isPlain = options === undefined || (options !== null && typeof options === 'object' &&
      typeof (options.disableEntropyCache ?? true) === 'boolean');
    return randomUUID(isZygote && isPlain ? { disableEntropyCache: true } : options);
  });
  replace(crypto, 'randomInt', (...args) => {
    const last = args[args.length - 1];
    const [min, max] = typeof args[1] === 'number' ? args : [0, args[0]];
    const range = max - min, limit = 2 ** 48 - (2 ** 48 % range);
    /* Node's own, which draws ahead, or says what is wrong. */
    if (!isZygote || ![min, max].every(Number.isSafeInteger) || range <= 0 || range >= 2 ** 48 ||
        !['number', 'function'].includes(typeof last)) return randomInt(...args);
    let n;
    do n = randomBytes(6).readUIntBE(0, 6); while (n >= limit);
    n = min + (n % range);
    if (typeof last !== 'function') return n;
    process.nextTick(last, undefined, n);
    return undefined;
  });
  if (typeof webUUID === 'function') {
    replace(prototype, 'randomUUID', function uuid() {
      return isZygote && this === crypto.webcrypto ? randomUUID({ disableEntropyCache: true }) : webUUID.call(this);
    });
  }
  pools.install(replace, () => isZygote);
  nodeModule.syncBuiltinESMExports();
}

function install(theAddon, mode) {
  addon = theAddon;
  if (mode === 'single') {
    isZygote = false;
    return;
  }
  Object.defineProperty(process, 'pid', { value: process.pid, enumerable: true, configurable: true, writable: true });
  seed();
  replace(Math, 'random', random);
  replaceCrypto();
}

/* In the worker. */
function renew() {
  if (!isZygote) return;
  isZygote = false;
  seed();
  pools.refill();
  process.pid = addon.pid();
}

/* In the zygote: does what renew() does, but stays what it is. */
function rehearse() {
  const { pid } = process;

  renew();
  isZygote = true;
  process.pid = pid;
}

module.exports = { install, rehearse, renew };
