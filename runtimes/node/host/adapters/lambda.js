'use strict';

/* Lambda's contract: handler(event, context[, callback]), plain or async. */

const addon = require('../addon');
const { HostError, hasBody, readBody } = require('./common');
const { Context, fromHttp, fromJson, isHttp } = require('./lambda-event');
const { answer, answerJson } = require('./lambda-result');
const { STREAMING } = require('./awslambda');

const NO_BODY = Buffer.alloc(0);
const IDLE_LOOKS = 10; /* at an event loop without work, before a promise counts as given up */
const IDLE_MS = 25; /* between two of them */
const HURRY_MS = 2;

/* Calls back when nothing is left that the process could wait for, but for what there was before the
 * handler ran. By looking: node's own word for it, `beforeExit`, comes behind a wait for V8's threads, and
 * a forked process has none. A wait that V8 alone knows of (WebAssembly that is compiled) is no resource,
 * so one look is not enough. Returns a function that ends the watch; its hurry() is for who knows
 * that the next idle moment is the one. `idle`, if there is one, knows the resources, and begins later. */
function onIdle(callback, idle) {
  void process.stdout, process.stderr; /* made when first used, and resources from then on */
  const before = idle ? idle.resources : process.getActiveResourcesInfo().length;
  let looks = 0, needed = IDLE_LOOKS, timer = null;
  const look = () => {
    looks = process.getActiveResourcesInfo().length > before || addon.isAtWork() ? 0 : looks + 1;
    if (looks >= needed) callback();
    else wait(needed === 1 ? HURRY_MS : IDLE_MS);
  };
  const wait = (ms) => {
    timer = setTimeout(look, ms).unref();
  };
  const end = () => {
    if (timer) clearTimeout(timer);
    if (idle) idle.begin = null;
  };

  end.hurry = () => {
    end();
    needed = 1;
    wait(0);
  };
  if (idle) idle.begin = () => wait(IDLE_MS);
  else wait(IDLE_MS);
  return end;
}

/* Runs the handler and gives a promise of its result. As in Lambda: a promise and context.done(),
 * succeed() and fail() count at once, and so does callback(error); callback(null, result) counts when
 * the event loop is empty, unless context.callbackWaitsForEmptyEventLoop is false. Without any of
 * these the result is null when the event loop is empty. */
function run(handler, event, context, idle) {
  return new Promise((resolve, reject) => {
    let called = null; /* the callback's result, which waits */
    let promised = false;
    let isDone = false;
    const finish = (settle, value) => {
      if (isDone) return;
      isDone = true;
      endWatch();
      settle(value);
    };
    const endWatch = onIdle(() => {
      if (called || !promised) finish(resolve, called ? called.result : null);
      else finish(reject, new HostError('Runtime.NodeJsExit',
        'the handler\'s promise cannot be settled any more: nothing is left that the process waits for'));
    }, idle);
    const done = (error, result) => {
      if (error !== null && error !== undefined) finish(reject, error);
      else finish(resolve, result);
    };
    const callback = (error, result) => {
      if (called) return;
      if ((error !== null && error !== undefined) || !context.callbackWaitsForEmptyEventLoop) done(error, result);
      else {
        called = { result };
        endWatch.hurry();
      }
    };

    context.done = done;
    context.succeed = (result) => done(null, result);
    context.fail = (error) => done(error === null || error === undefined ? new Error('handled') : error);
    try {
      const result = handler(event, context, callback);
      if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
        promised = true;
        result.then((value) => finish(resolve, value), (error) => finish(reject, error));
      }
    } catch (error) {
      finish(reject, error);
    }
  });
}

function eventWith(req, body) {
  return isHttp(req) ? fromHttp(req, body) : fromJson(body);
}

async function eventOf(req) {
  return eventWith(req, hasBody(req) ? await readBody(req) : NO_BODY);
}

/* What a first request would run for the first time, run ahead of it. */
function touch(start) {
  const req = {
    method: 'POST',
    url: '/touch?a=1',
    headers: { host: 'localhost', 'content-type': 'application/json' },
    rawHeaders: ['Host', 'localhost', 'Content-Type', 'application/json', 'Cookie', 'a=1; b=2'],
  };
  const res = { setHeader() {}, end() {}, statusCode: 0 };
  const event = fromHttp(req, Buffer.from('{"a": [1, "b"]}'));

  new Context(start, req).getRemainingTimeInMillis();
  fromJson(Buffer.from(event.body));
  answer(res, { statusCode: 200, headers: { 'X-A': '1' }, cookies: ['a=1'], body: 'touched' });
  answer(res, { touched: [1, 'two', null] });
}

async function direct(handler, start, req, body, res) {
  const event = eventWith(req, body || NO_BODY);
  const result = await run(handler, event, new Context(start, req), req.idle);
  (isHttp(req) ? answer : answerJson)(res, result);
}

/* Answers as most do. */
async function rehearsed() {
  return { statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: 'touched' };
}

async function handle(handler, start, req, res, idle) {
  const event = await eventOf(req);
  const result = await run(handler, event, new Context(start, req), idle);
  (isHttp(req) ? answer : answerJson)(res, result);
}

function create(handler, start) {
  if (handler[STREAMING] === 'response')
    return require('./lambda-stream').create(handler, start, { eventOf, onIdle, touch: () => touch(start) });
  return {
    handle: (req, res) => handle(handler, start, req, res),
    rehearse: (req, res) => handle(rehearsed, start, req, res, { resources: 0, begin: null }), /* no timer is left */
    touch: () => touch(start),
    direct: (req, body, res) => direct(handler, start, req, body, res),
    rehearseDirect: (req, body, res) => direct(rehearsed, start, req, body, res),
  };
}

module.exports = { create };
