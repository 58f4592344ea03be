'use strict';

/* The worker's end of the wire for an adapter that takes a request whole and gives its answer whole: read
 * and written by the addon (direct.c), without sockets, streams and http.Server. What is never called
 * is never paid for by a worker: each function's first call writes to memory that is shared until then.
 *
 * Only where nothing can happen in the event loop before the handler begins something, since the addon
 * waits in its place. */

const end = require('./end');
const errors = require('./errors');
const { HostError } = require('./adapters/common');

let addon;

/* What the host and the adapters ask of a request's headers; the first of a name counts. */
const KNOWN = ['host', 'user-agent', 'mayfly-client-ip', 'mayfly-request-id', 'mayfly-trigger', 'mayfly-deadline-ms'];

class Request {
  constructor([method, url, rawHeaders]) {
    this.method = method;
    this.url = url;
    this.rawHeaders = rawHeaders;
    this.headers = {};
    for (const name of KNOWN) this.headers[name] = undefined;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = rawHeaders[i].toLowerCase();
      if (KNOWN.includes(name) && this.headers[name] === undefined) this.headers[name] = rawHeaders[i + 1];
    }
    this.idle = idle;
  }
}

/* As much of a ServerResponse as adapters use that answer whole. */
class Response {
  constructor() {
    this.statusCode = 200;
    this.fields = [];
    this.headersSent = this.writableEnded = false;
  }

  /* Of names that are not there yet. */
  setHeader(name, value) {
    if (!Array.isArray(value)) this.fields.push(name, String(value));
    else for (const one of value) this.fields.push(name, String(one));
  }

  removeHeaders() {
    this.fields = [];
  }

  end(body) {
    addon.answer(this.statusCode, this.fields, typeof body === 'string' ? Buffer.from(body) : body);
    this.headersSent = this.writableEnded = true;
  }
}

/* A watch for idleness that begins with the first turn of the event loop: most handlers are done by then.
 * `resources` are those that were there before the handler. */
const idle = { resources: 0, begin: null };

function bodyOf() {
  try {
    return addon.body();
  } catch (error) {
    if (error.code === 'EPIPE') throw new HostError('Runtime.ClientGone', 'the request ended before its body did');
    throw error;
  }
}

/* In the zygote, with the adapter's warm-up as the handler, or in a standby. */
async function rehearse(adapter) {
  const req = new Request(addon.touch(true));
  const res = new Response();

  end.whileServing(() => {});
  try {
    await adapter.rehearseDirect(req, bodyOf(), res);
  } finally {
    end.whileServing(null);
    addon.touch(false);
  }
}

async function answer(adapter, req, res) {
  let hasEnded = false; /* by an error that the adapter does not know of */

  end.whileServing((error, exit) => {
    if (hasEnded) return;
    hasEnded = true;
    if (res.writableEnded) errors.print(error); /* behind the answer: for the log alone */
    else errors.fail(req, res, error);
    exit();
  });
  try {
    await adapter.direct(req, bodyOf(), res);
  } catch (error) {
    if (!hasEnded) errors.fail(req, res, error);
  }
  end.exit(0);
}

module.exports = {
  rehearse,

  /* In the zygote, right before the fork. */
  prepare(theAddon) {
    addon = theAddon;
  },

  /* What is scheduled here is scheduled for each worker. */
  schedule() {
    idle.resources = process.getActiveResourcesInfo().length;
    setImmediate(() => idle.begin && idle.begin()).unref();
  },

  /* In the worker. */
  async work(adapter) {
    addon.stay();
    if (!addon.waits()) await rehearse(adapter);
    return answer(adapter, new Request(addon.receive()), new Response());
  },
};
