'use strict';

/* The global `awslambda` of Lambda's own Node.js runtime, for handlers that stream. */

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.highWaterMark');
const PRELUDE = Symbol('mayfly.prelude');
const PRELUDE_TYPE = 'application/vnd.awslambda.http-integration-response';

function streamifyResponse(handler, options) {
  if (typeof handler !== 'function')
    throw new TypeError('awslambda.streamifyResponse() takes a function (event, responseStream, context)');
  handler[STREAMING] = 'response';
  if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  return handler;
}

class HttpResponseStream {
  /* Status, headers and cookies of what is written to the stream. */
  static from(stream, prelude) {
    if (typeof stream[PRELUDE] !== 'function')
      throw new TypeError('awslambda.HttpResponseStream.from() takes the responseStream that the handler was given');
    stream[PRELUDE](prelude);
    return stream;
  }
}

function install() {
  if (!globalThis.awslambda)
    globalThis.awslambda = { streamifyResponse, HttpResponseStream };
}

module.exports = { HIGH_WATER_MARK, PRELUDE, PRELUDE_TYPE, STREAMING, install };
