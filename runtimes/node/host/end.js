'use strict';

/* One place where the process ends. Node's own end joins threads, which a worker does not have: it
 * would wait for ever. */

const errors = require('./errors');

let addon;
let isLoading = true;
let failLoad;
let onEnd = null; /* what a request that is at work makes of an end that comes too soon */

function exitError(code) {
  const error = new Error(code ? `Runtime exited with error: exit status ${code}` :
    'Runtime exited without providing a reason');
  error.errorType = 'Runtime.ExitError';
  error.isHostError = true;
  return error;
}

/* The author's process.exit(), after the listeners of 'exit' have run. */
function reallyExit(code) {
  if (isLoading) {
    failLoad(exitError(code));
    throw exitError(code); /* it does not go on */
  }
  if (onEnd) onEnd(exitError(code), () => addon.exit(code || 0));
  else addon.exit(code || 0);
}

function install(theAddon) {
  addon = theAddon;
  process.reallyExit = reallyExit;
  process.on('uncaughtException', uncaught);
  process.abort = () => process.kill(process.pid, 'SIGABRT');
}

/* What nobody has caught, rejected promises too. Who listens for it takes care of it. */
function uncaught(error) {
  if (process.listenerCount('uncaughtException') > 1) return;
  if (isLoading) {
    failLoad(error);
    return;
  }
  if (onEnd) {
    onEnd(error, () => addon.exit(1));
    return;
  }
  errors.print(error);
  addon.exit(1);
}

module.exports = {
  install,
  whileLoading(callback) {
    failLoad = callback;
  },
  loaded() {
    isLoading = false;
  },
  /* callback(error, exit): tells the request's client, then calls exit(). null: there is none. */
  whileServing(callback) {
    onEnd = callback;
  },
  exit: (code) => addon.exit(code),
};
