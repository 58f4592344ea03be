'use strict';

/* Random bytes that a package has drawn ahead. uuid and nanoid draw some hundred at once and hand them
 * out one after the other; drawn while the module was loaded, all workers would hand out the same. So
 * each worker fills them anew: for a pool, other bytes are as good.
 *
 * What is a pool cannot be known, only what is none, and is left alone:
 * - few bytes are a key or a salt, which other values may have been made of, and all workers are to have;
 * - more than getRandomValues() gives at once are data;
 * - bytes that have changed since are something else by now, as in the memory of WebAssembly;
 * - randomBytes() gives bytes away, which is not what those do that keep their own. */

const crypto = require('crypto');

const { createHash, randomFill, randomFillSync } = crypto;

const BYTES_MIN = 128; /* nanoid(1) draws so many */
const BYTES_MAX = 65536;
const POOLS_MAX = 256; /* of those that were drawn last */

let pools = [];

function bytesOf({ ref, offset, length }) {
  const buffer = ref.deref();

  return buffer && buffer.byteLength >= offset + length ? new Uint8Array(buffer, offset, length) : undefined;
}

const digest = (bytes) => createHash('sha256').update(bytes).digest('latin1');

/* Bytes of a buffer, or of what is seen of one, have been drawn. */
function note(target, start = 0, n = target.byteLength - start) {
  const isView = ArrayBuffer.isView(target);
  const pool = { ref: new WeakRef(isView ? target.buffer : target), offset: (isView ? target.byteOffset : 0) + start, length: n };

  if (n < BYTES_MIN || n > BYTES_MAX) return;
  pool.digest = digest(bytesOf(pool));
  pools = pools.filter((other) => bytesOf(other) && !(other.ref.deref() === pool.ref.deref() && other.offset === pool.offset));
  if (pools.length === POOLS_MAX) pools.shift();
  pools.push(pool);
}

/* As note(), by the arguments of randomFill(): in elements of the array. */
function noteElements(target, offset, size) {
  const one = target.BYTES_PER_ELEMENT ?? 1;

  note(target, (offset ?? 0) * one, size === undefined ? undefined : size * one);
}

/* replace(object, name, function), while wanted() says so. */
function install(replace, wanted) {
  const prototype = Object.getPrototypeOf(crypto.webcrypto);
  const { getRandomValues } = prototype;

  replace(crypto, 'randomFillSync', (target, offset, size) => {
    const filled = randomFillSync(target, offset, size);

    if (wanted()) noteElements(target, offset, size);
    return filled;
  });
  replace(crypto, 'randomFill', (target, ...rest) => {
    const callback = rest.pop();

    if (!wanted() || typeof callback !== 'function') return randomFill(target, ...rest, callback);
    return randomFill(target, ...rest, (error, filled) => {
      if (!error && wanted()) noteElements(target, ...rest);
      callback(error, filled);
    });
  });
  replace(prototype, 'getRandomValues', function values(target) {
    const filled = getRandomValues.call(this, target);

    if (wanted()) note(target);
    return filled;
  });
}

/* Fills those anew that are as they were drawn. */
function refill() {
  pools = pools.filter((pool) => {
    const bytes = bytesOf(pool);

    if (!bytes || digest(bytes) !== pool.digest) return false;
    randomFillSync(bytes);
    pool.digest = digest(bytes);
    return true;
  });
}

module.exports = { install, refill };
