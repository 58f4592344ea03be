'use strict';

/* mayfly.node, or for a process that serves a single request where it cannot be loaded, as much of it
 * as JavaScript can do. */

const fs = require('fs');

const reallyExit = process.reallyExit.bind(process);

const plain = {
  exit: reallyExit,
  single() {},
  waits: () => false,
  pid: () => process.pid,
  catchSignals() {},
  isAtWork: () => false,
  pair: null,
  errorBody: (error, json) => [json, ''],
  draw(array) {
    require('crypto').randomFillSync(array);
  },
};

function load(file, mode) {
  const holder = { exports: {} };

  try {
    process.dlopen(holder, file);
    module.exports.isAtWork = holder.exports.isAtWork;
    return holder.exports;
  } catch (error) {
    plain.why = error.message;
    if (mode !== 'single') {
      fs.writeSync(2, `mayfly: ${error.message}\n`);
      reallyExit(1);
    }
    return plain;
  }
}

/* isAtWork is of what has been loaded, for adapters. */
module.exports = { load, isAtWork: plain.isAtWork };
