'use strict';

/* A function's errors, told twice: in full on stderr, so that it is in the log, and as JSON to the
 * gateway. Frames of the host and of node itself are left out of the stack: the author looks for a
 * mistake in the author's code. */

const fs = require('fs');
const os = require('os');
const path = require('path');
const util = require('util');

const OURS = __dirname + path.sep;
const ENOMEM = os.constants.errno.ENOMEM;
const REFUSALS = ['ENOMEM', 'EMFILE', 'EFBIG', 'ENOSPC', 'EAGAIN']; /* that a limit may speak through */
const STACK_BYTES_MAX = 256 * 1024;

let addon;

function isObject(value) {
  return value !== null && typeof value === 'object';
}

function isFrameOfOthers(line) {
  return /^\s+at .*(\(node:|^\s+at node:)/.test(line) || /^\s+at node:/.test(line) || line.includes(OURS);
}

/* The lines of a stack, without the message on top of it. */
function stackOf(error) {
  let stack;

  try {
    stack = isObject(error) && typeof error.stack === 'string' ? error.stack.slice(0, STACK_BYTES_MAX) : '';
  } catch {
    stack = '';
  }
  const lines = stack.split('\n');
  const first = lines.findIndex((line) => /^\s+at /.test(line));
  const frames = first < 0 ? [] : lines.slice(first).filter((line) => !isFrameOfOthers(line));

  if (!(error instanceof SyntaxError)) return frames;
  /* Where the mistake is stands ahead of the message. */
  const place = lines.slice(0, Math.max(0, lines.findIndex((line) => line.startsWith('SyntaxError'))));
  return [...place.filter((line) => line.trim() !== ''), ...frames];
}

/* A host's error has a type for the outside; a function's is called by its class. */
function typeOf(error) {
  if (!isObject(error)) return error === null ? 'null' : typeof error;
  if (typeof error.errorType === 'string') return error.errorType;
  return String(error.name || (error.constructor && error.constructor.name) || 'Error');
}

function messageOf(error) {
  try {
    if (isObject(error)) return error.message === undefined ? util.inspect(error, { depth: 2 }) : String(error.message);
    return String(error);
  } catch {
    return '<the error\'s text cannot be made>';
  }
}

function describe(error, requestId) {
  const message = messageOf(error);
  const prefix = isObject(error) && error.errorType === 'Runtime.ExitError' && requestId ?
    `RequestId: ${requestId} Error: ` : '';

  return { errorType: typeOf(error), errorMessage: prefix + message, stackTrace: stackOf(error) };
}

/* As node would print it, without what is not the author's. */
function print(error) {
  let text;

  try {
    if (isObject(error) && error.isHostError) {
      text = `${typeOf(error)}: ${messageOf(error)}`;
    } else if (error instanceof Error) {
      const stack = stackOf(error);
      const head = `${error.name}: ${error.message}`;
      const place = error instanceof SyntaxError ? stack.filter((line) => !/^\s+at /.test(line)) : [];
      const frames = stack.filter((line) => /^\s+at /.test(line));
      const cause = error.cause === undefined ? [] : [`[cause]: ${util.inspect(error.cause)}`];
      text = [...place, head, ...frames, ...cause].join('\n');
    } else {
      text = `Uncaught ${util.inspect(error)}`;
    }
  } catch (e) {
    text = `an error that cannot be told: ${e && e.message}`;
  }
  try {
    fs.writeSync(2, `${text}\n`);
  } catch {
    /* stderr is closed: the answer tells. */
  }
}

/* The errno that the error comes from, if the system has refused something. */
function errnoOf(error) {
  for (let e = error, i = 0; isObject(e) && i < 10; e = e.cause, i++) {
    if (e instanceof RangeError && /allocation failed|Invalid (array buffer|string|typed array) length/.test(e.message)) return ENOMEM;
    if (REFUSALS.includes(e.code)) return os.constants.errno[e.code];
  }
  return 0;
}

/* Answers with an unhandled error, or breaks off an answer that has begun. */
function fail(req, res, error) {
  const requestId = req.headers['mayfly-request-id'];

  print(error);
  if (res.headersSent || res.writableEnded) {
    req.socket.destroy();
    return;
  }
  const [body, limit] = addon.errorBody(errnoOf(error), JSON.stringify(describe(error, requestId)));
  if (res.removeHeaders) res.removeHeaders();
  else for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.statusCode = 500;
  res.statusMessage = undefined;
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Mayfly-Error', 'Unhandled');
  if (limit) res.setHeader('Mayfly-Limit', limit);
  res.end(body);
}

module.exports = {
  install(theAddon) {
    addon = theAddon;
  },
  describe, fail, isFrameOfOthers, print,
};
