'use strict';

/* handler(event, responseStream, context), made by awslambda.streamifyResponse(). */

const { Writable } = require('stream');
const { HostError } = require('./common');
const { Context, isHttp } = require('./lambda-event');
const { answerJson, headersOf, marshalError, statusOf } = require('./lambda-result');
const { HIGH_WATER_MARK, PRELUDE, PRELUDE_TYPE } = require('./awslambda');

const PRELUDE_BYTES_MAX = 64 * 1024;
const DELIMITER = Buffer.alloc(8); /* between a prelude that the author writes and the body */

function headOf(prelude) {
  if (prelude === null || typeof prelude !== 'object') prelude = {};
  try {
    return { status: statusOf(prelude.statusCode === undefined ? 200 : prelude.statusCode),
      headers: headersOf(prelude), prelude };
  } catch (error) {
    throw marshalError(error);
  }
}

/* What the handler writes to. Goes out as it comes, no faster than the client reads. */
class ResponseStream extends Writable {
  constructor(res, highWaterMark) {
    super({ highWaterMark });
    this.res = res;
    this.contentType = null;
    this.head = null;
    this.isBegun = false;
    this.early = null; /* a prelude that is written by hand, as long as it is not whole */
  }

  setContentType(type) {
    this.contentType = type;
  }

  [PRELUDE](prelude) {
    if (this.isBegun) throw new Error('HttpResponseStream.from() comes too late: the response has begun');
    this.head = headOf(prelude);
  }

  /* As in Lambda, what is neither text nor bytes is written as JSON. */
  write(chunk, ...more) {
    return super.write(asChunk(chunk), ...more);
  }

  end(chunk, ...more) {
    return typeof chunk === 'function' || chunk === null || chunk === undefined ?
      super.end(chunk, ...more) : super.end(asChunk(chunk), ...more);
  }

  begin() {
    const { res } = this;
    this.isBegun = true;
    const { status, headers } = this.head || headOf({});
    res.statusCode = status;
    for (const [name, value] of headers.values()) res.setHeader(name, value);
    if (!headers.has('content-type'))
      res.setHeader('Content-Type', this.contentType && this.contentType !== PRELUDE_TYPE ? this.contentType :
        'application/octet-stream');
  }

  /* Frameworks that know how Lambda does it may write the prelude themselves. Returns what is behind
   * it, or null. */
  takePrelude(chunk) {
    const early = this.early ? Buffer.concat([this.early, chunk]) : chunk;
    const at = early.indexOf(DELIMITER);
    if (at < 0) {
      if (early.length > PRELUDE_BYTES_MAX)
        throw new HostError('Runtime.MarshalError', `Unable to marshal response: no end of the prelude within ` +
          `${PRELUDE_BYTES_MAX} bytes`);
      this.early = early;
      return null;
    }
    this.early = null;
    try {
      this.head = headOf(JSON.parse(early.toString('utf8', 0, at)));
    } catch (error) {
      throw error instanceof HostError ? error : marshalError(error);
    }
    return early.subarray(at + DELIMITER.length);
  }

  _write(chunk, encoding, callback) {
    try {
      if (!this.isBegun && !this.head && this.contentType === PRELUDE_TYPE) {
        chunk = this.takePrelude(chunk);
        if (chunk === null) return callback();
      }
      if (!this.isBegun) this.begin();
    } catch (error) {
      return callback(error);
    }
    this.put(chunk, callback);
  }

  put(chunk, callback) {
    const { res } = this;
    if (chunk.length === 0) {
      if (!res.headersSent) res.flushHeaders();
      return callback();
    }
    if (res.write(chunk) || res.destroyed) return callback();
    const go = () => {
      res.removeListener('drain', go);
      res.removeListener('close', go);
      callback();
    };
    res.on('drain', go);
    res.on('close', go);
  }

  _final(callback) {
    try {
      if (this.early) throw new HostError('Runtime.MarshalError', 'Unable to marshal response: the prelude has no end');
      if (!this.isBegun) this.begin();
    } catch (error) {
      return callback(error);
    }
    this.finishResponse(callback);
  }

  finishResponse(callback) {
    this.res.end(() => callback());
  }
}

/* For a plain invocation: the answer is what a handler that does not stream would have returned. */
class CollectedStream extends ResponseStream {
  constructor(res, highWaterMark) {
    super(res, highWaterMark);
    this.chunks = [];
  }

  begin() {
    this.isBegun = true;
    if (!this.head) super.begin();
  }

  put(chunk, callback) {
    if (!this.head) return super.put(chunk, callback);
    this.chunks.push(chunk);
    callback();
  }

  finishResponse(callback) {
    if (!this.head) return super.finishResponse(callback);
    const body = Buffer.concat(this.chunks);
    const isText = Buffer.from(body.toString('utf8')).equals(body);
    try {
      answerJson(this.res, { ...this.head.prelude, statusCode: this.head.status,
        body: body.toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText });
    } catch (error) {
      return callback(error);
    }
    callback();
  }
}

function asChunk(chunk) {
  if (typeof chunk === 'string' || Buffer.isBuffer(chunk) || chunk instanceof Uint8Array) return chunk;
  return JSON.stringify(chunk);
}

/* Resolves when the stream has ended, rejects when the handler or the stream has failed. A handler
 * that is done but has left the stream open is waited for as long as something can still end it. */
function run(handler, event, stream, context, onIdle) {
  return new Promise((resolve, reject) => {
    const endWatch = onIdle(() => stream.end());
    const finish = (settle, value) => {
      endWatch();
      settle(value);
      stream.destroy();
    };
    stream.once('finish', () => finish(resolve));
    stream.once('error', (error) => finish(reject, error));
    stream.once('close', () => {
      if (!stream.writableFinished) finish(reject, new Error('the response stream was destroyed before its end'));
    });
    Promise.resolve().then(() => handler(event, stream, context)).catch((error) => finish(reject, error));
  });
}

async function rehearsed(event, stream) {
  stream.setContentType('text/plain');
  stream.write('text');
  stream.end();
}

function create(handler, start, { eventOf, onIdle, touch }) {
  const handle = async (call, req, res) => {
    const event = await eventOf(req);
    const Stream = isHttp(req) ? ResponseStream : CollectedStream;
    await run(call, event, new Stream(res, handler[HIGH_WATER_MARK]), new Context(start, req), onIdle);
  };
  return {
    handle: (req, res) => handle(handler, req, res),
    rehearse: (req, res) => handle(rehearsed, req, res),
    touch,
  };
}

module.exports = { create };
