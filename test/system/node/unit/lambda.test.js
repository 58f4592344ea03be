'use strict';

/* Lambda's contract: the event, the context, and what may be returned. The tables are those of
 * test_python_lambda.py: both languages get the same events and give the same answers. */

const assert = require('assert');
const { describe, test } = require('node:test');
const { call, HOST, START } = require('./lib');

const { fromHttp, fromJson, Context } = require(`${HOST}/adapters/lambda-event`);
const { answer } = require(`${HOST}/adapters/lambda-result`);

const f = (body) => `exports.f = ${body}`;
const lambda = (source, options) => call(source, { symbol: 'f', ...options });

/* ---- the event ---- */

function eventOf({ method = 'GET', target = '/', headers = [], body = '' } = {}) {
  const rawHeaders = ['Host', 'localhost', 'Mayfly-Request-Id', '0-1', ...headers.flat()];
  const map = {};
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) map[rawHeaders[i].toLowerCase()] = rawHeaders[i + 1];
  return fromHttp({ method, url: target, headers: map, rawHeaders }, Buffer.from(body));
}

test('the event has every field of payload 2.0', async () => {
  const reply = await lambda(f('async (event) => event'), { target: '/api/users?id=7', headers: { 'User-Agent': 't/1' } });
  const event = reply.json;
  const { time, timeEpoch } = event.requestContext;
  assert.ok(Math.abs(timeEpoch - Date.now()) < 10000);
  assert.match(time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  delete event.requestContext.time;
  delete event.requestContext.timeEpoch;
  delete event.headers.connection;
  assert.deepStrictEqual(event, {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/api/users',
    rawQueryString: 'id=7',
    headers: { host: 'localhost', 'user-agent': 't/1' },
    queryStringParameters: { id: '7' },
    requestContext: {
      accountId: 'anonymous',
      apiId: 'mayfly',
      authentication: null,
      authorizer: null,
      domainName: 'localhost',
      domainPrefix: 'localhost',
      http: { method: 'GET', path: '/api/users', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 't/1' },
      requestId: '00000000-0000-7000-8000-000000000000',
      routeKey: '$default',
      stage: '$default',
    },
    pathParameters: null,
    stageVariables: null,
    isBase64Encoded: false,
  });
});

test('the event leaves out what is empty, as Lambda does', () => {
  const event = eventOf();
  for (const name of ['cookies', 'queryStringParameters', 'body']) assert.ok(!(name in event));
});

for (const [query, expected] of [
  ['a=1&b=2', { a: '1', b: '2' }],
  ['a=1&a=2&a=3', { a: '1,2,3' }],
  ['a=1+2%263', { a: '1 2&3' }],
  ['a', { a: '' }],
  ['a=&=b', { a: '', '': 'b' }],
  ['a=%C3%A4%F0%9F%A6%8B', { a: 'ä🦋' }],
  ['a=%ff', { a: '\ufffd' }],
  ['a=%zz', { a: '%zz' }],
  ['&&a=1&&', { a: '1' }],
  ['a=b=c', { a: 'b=c' }],
  ['=', {}],
]) {
  test(`the query ${query} is decoded and its values joined`, () => {
    const event = eventOf({ target: `/?${query}` });
    assert.deepStrictEqual(event.queryStringParameters, expected);
    assert.strictEqual(event.rawQueryString, query);
  });
}

test('names that JavaScript gives a meaning are names like others', () => {
  const event = eventOf({ target: '/?__proto__=x&constructor=y', headers: [['__proto__', 'h'], ['constructor', 'i']] });
  assert.strictEqual(JSON.stringify(event.queryStringParameters), '{"__proto__":"x","constructor":"y"}');
  assert.ok(JSON.stringify(event.headers).includes('"__proto__":"h"'));
  assert.strictEqual(event.headers.constructor, 'i');
  assert.strictEqual({}.x, undefined);
});

test('the path is as sent', () => {
  const event = eventOf({ target: '/a%20b/%C3%A4' });
  assert.strictEqual(event.rawPath, '/a%20b/%C3%A4');
  assert.strictEqual(event.requestContext.http.path, '/a%20b/%C3%A4');
});

test('headers are in lower case, joined, and without ours', () => {
  const event = eventOf({ headers: [['X-One', '1'], ['x-one', '2'], ['X-Latin', '\xe9'], ['Cookie', 'a=1; b=2'],
    ['Cookie', 'c=3'], ['Transfer-Encoding', 'chunked'], ['Mayfly-Client-Ip', '2001:db8::7']] });
  assert.deepStrictEqual(event.headers, { host: 'localhost', 'x-one': '1,2', 'x-latin': '\xe9' });
  assert.deepStrictEqual(event.cookies, ['a=1', 'b=2', 'c=3']);
  assert.strictEqual(event.requestContext.http.sourceIp, '2001:db8::7');
});

for (const [kind, body, expected] of [
  ['text/plain', 'hi', 'hi'],
  ['application/json', '{"a": 1}', '{"a": 1}'],
  ['application/vnd.api+json; charset=utf-8', '{}', '{}'],
  ['image/svg+xml', '<svg/>', '<svg/>'],
  ['text/plain', 'ä🦋', 'ä🦋'],
  ['text/plain', Buffer.from([0xff, 0]), null],
  ['application/octet-stream', 'abc', null],
  ['application/x-www-form-urlencoded', 'a=1', null],
  ['', 'plain', 'plain'],
]) {
  test(`a body of type "${kind}" is ${expected === null ? 'base64' : 'text'}`, () => {
    const event = eventOf({ method: 'POST', headers: kind ? [['Content-Type', kind]] : [], body });
    assert.strictEqual(event.isBase64Encoded, expected === null);
    assert.strictEqual(event.body, expected === null ? Buffer.from(body).toString('base64') : expected);
  });
}

test('a chunked body arrives whole', async () => {
  const body = Buffer.alloc(300000, 'abc');
  const reply = await lambda(f('async (event) => event.body.length'), { method: 'POST', body,
    headers: { 'Content-Type': 'text/plain', 'Transfer-Encoding': 'chunked' } });
  assert.strictEqual(reply.text, '300000');
});

/* ---- invoke ---- */

for (const [body, expected] of [['{"a": [1, null]}', { a: [1, null] }], ['"text"', 'text'], ['[1]', [1]], ['', {}]]) {
  test(`the event of other triggers is the body: ${body}`, () => {
    assert.deepStrictEqual(fromJson(Buffer.from(body)), expected);
  });
}

test('an invocation gives an object with statusCode back as it is', async () => {
  const reply = await lambda(f('async (e) => ({ statusCode: 404, e })'), { method: 'POST', body: '{"ä":1}', trigger: 'invoke' });
  assert.deepStrictEqual([reply.status, reply.json], [200, { statusCode: 404, e: { ä: 1 } }]);
  assert.strictEqual(reply.headers['content-type'], 'application/json');
});

test('an invocation with a body that is no JSON is an error', async () => {
  const reply = await lambda(f('async (e) => e'), { method: 'POST', body: '{nope', trigger: 'invoke' });
  assert.strictEqual(reply.json.errorType, 'Runtime.UnmarshalError');
  assert.ok(reply.json.isHostError);
});

/* ---- the context ---- */

test('the context has what Lambda gives', async () => {
  const reply = await lambda(f(`async (e, c) => {
    const left = c.getRemainingTimeInMillis();
    return { ...c, left };
  }`), { id: '0-1', deadline: Date.now() + 5000, start: { memoryBytes: 256 << 20 } });
  const { left, logStreamName, ...rest } = reply.json;
  assert.ok(left > 2000 && left <= 5000, String(left));
  assert.match(logStreamName, /^\d{4}\/\d\d\/\d\d\/\[v{16}\]01$/);
  assert.deepStrictEqual(rest, {
    callbackWaitsForEmptyEventLoop: true,
    functionName: 'fun',
    functionVersion: 'v'.repeat(16),
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:fun',
    memoryLimitInMB: '256',
    awsRequestId: '0-1',
    logGroupName: '/aws/lambda/fun',
  });
});

test('without a deadline the timeout counts', () => {
  const context = new Context({ ...START, timeoutMs: 7000 }, { headers: {} });
  assert.ok(context.getRemainingTimeInMillis() > 6000 && context.getRemainingTimeInMillis() <= 7000);
});

/* ---- what is returned ---- */

function answerOf(result) {
  const res = { headers: {}, statusCode: 0, setHeader(name, value) { this.headers[name.toLowerCase()] = value; },
    end(body) { this.body = body; } };
  answer(res, result);
  return res;
}

const JSON_TYPE = 'application/json';

for (const [result, status, type, body, headers] of [
  ['{a: 1}', 200, JSON_TYPE, '{"a":1}'],
  ['"text"', 200, JSON_TYPE, '"text"'],
  ['null', 200, JSON_TYPE, 'null'],
  ['undefined', 200, JSON_TYPE, 'null'],
  ['[1, 2.5, true, null]', 200, JSON_TYPE, '[1,2.5,true,null]'],
  ['42', 200, JSON_TYPE, '42'],
  ['""', 200, JSON_TYPE, '""'],
  ['"\\u00e4\\u{1f98b}\\n\\""', 200, JSON_TYPE, '"ä🦋\\n\\""'],
  ['"\\ud800"', 200, JSON_TYPE, '"\\ud800"'],
  ['NaN', 200, JSON_TYPE, 'null'],
  ['new Date(0)', 200, JSON_TYPE, '"1970-01-01T00:00:00.000Z"'],
  ['Buffer.from([0, 255])', 200, 'application/octet-stream', '\x00\xff'],
  ['new Uint8Array([120])', 200, 'application/octet-stream', 'x'],
  ['{toJSON: () => ({statusCode: 202, body: "j"})}', 202, JSON_TYPE, 'j'],
  ['{statusCode: 201, body: "made"}', 201, JSON_TYPE, 'made'],
  ['{statusCode: 200}', 200, undefined, ''],
  ['{statusCode: 200, body: null}', 200, undefined, ''],
  ['{statusCode: 200, body: ""}', 200, undefined, ''],
  ['{statusCode: "418", body: "tea"}', 418, JSON_TYPE, 'tea'],
  ['{statusCode: 200, body: "ä"}', 200, JSON_TYPE, 'ä'],
  ['{statusCode: 200, body: Buffer.from([0])}', 200, JSON_TYPE, '\x00'],
  ['{statusCode: 200, body: {a: 1}}', 200, JSON_TYPE, '{"a":1}'],
  ['{statusCode: 200, body: "AP8=", isBase64Encoded: true}', 200, JSON_TYPE, '\x00\xff'],
  ['{statusCode: 200, body: "x", isBase64Encoded: false}', 200, JSON_TYPE, 'x'],
  ['{statusCode: 200, headers: {"Content-Type": "text/html", "X-A": "1"}, body: "<p>"}', 200, 'text/html', '<p>', { 'x-a': '1' }],
  ['{statusCode: 200, headers: {"content-type": "text/css"}, body: "a"}', 200, 'text/css', 'a'],
  ['{statusCode: 200, headers: {"X-N": 5, "X-T": true, "X-L": ["a", "b"], "X-U": undefined}}', 200, undefined, '',
    { 'x-n': '5', 'x-t': 'true', 'x-l': 'a,b', 'x-u': undefined }],
  ['{statusCode: 302, headers: {Location: "/x"}}', 302, undefined, '', { location: '/x' }],
  ['{statusCode: 200, headers: null, body: "x"}', 200, JSON_TYPE, 'x'],
  ['{statusCode: 200, cookies: ["a=1; HttpOnly", "b=2"], body: "x"}', 200, JSON_TYPE, 'x', { 'set-cookie': ['a=1; HttpOnly', 'b=2'] }],
  ['{statusCode: 200, headers: {"set-cookie": "c=0"}, cookies: ["a=1"]}', 200, undefined, '', { 'set-cookie': ['c=0', 'a=1'] }],
  ['{statusCode: 200, multiValueHeaders: {"X-M": ["1", "2"]}, headers: {"x-m": "0"}}', 200, undefined, '', { 'x-m': ['1', '2'] }],
  ['{statusCode: 200, headers: {"Content-Length": "999", "Transfer-Encoding": "chunked"}, body: "x"}', 200, JSON_TYPE, 'x',
    { 'content-length': 1, 'transfer-encoding': undefined }],
  ['{statusCode: 204}', 204, undefined, ''],
]) {
  test(`the result ${result} becomes an answer`, () => {
    const reply = answerOf(eval(`(${result})`)); /* eslint-disable-line no-eval */
    assert.deepStrictEqual([reply.statusCode, reply.headers['content-type'], reply.body.toString(body && /[\xff]/.test(body) ? 'latin1' : 'utf8')],
      [status, type, body]);
    for (const [name, value] of Object.entries(headers || {})) assert.deepStrictEqual(reply.headers[name], value);
  });
}

for (const result of [
  '10n',
  '{a: 10n}',
  '() => 0',
  'Symbol("x")',
  '(() => { const l = []; l.push(l); return l; })()',
  '{statusCode: "no number"}',
  '{statusCode: ""}',
  '{statusCode: 99}',
  '{statusCode: 1000}',
  '{statusCode: null}',
  '{statusCode: NaN}',
  '{statusCode: 200, headers: {X: "a\\r\\nY: b"}}',
  '{statusCode: 200, headers: {"X Y": "1"}}',
  '{statusCode: 200, headers: {X: "\\u20ac"}}',
  '{statusCode: 200, headers: "x"}',
  '{statusCode: 200, cookies: 7}',
  '{statusCode: 200, body: 10n}',
  '{statusCode: 200, body: "abcde", isBase64Encoded: true}',
  '{statusCode: 200, headers: Object.fromEntries(Array.from({length: 200}, (_, i) => ["H" + i, "x"]))}',
]) {
  test(`the result ${result} is a marshal error`, () => {
    assert.throws(() => answerOf(eval(`(${result})`)), (error) => /* eslint-disable-line no-eval */
      error.errorType === 'Runtime.MarshalError' && error.message.startsWith('Unable to marshal response: '));
  });
}

test('HEAD gets the headers without the body', async () => {
  const reply = await lambda(f('async () => ({ statusCode: 200, body: "hello" })'), { method: 'HEAD' });
  assert.deepStrictEqual([reply.status, reply.text, reply.headers['content-length']], [200, '', '5']);
});

/* ---- the ways to answer ---- */

for (const [how, source, expected] of [
  ['a promise', 'async () => 1', 1],
  ['a promise of a plain function', '() => new Promise((done) => setTimeout(done, 5, 1))', 1],
  ['callback(null, result)', '(e, c, callback) => callback(null, 1)', 1],
  ['a callback later', '(e, c, callback) => { setTimeout(() => callback(null, 1), 5) }', 1],
  ['context.succeed()', '(e, c) => c.succeed(1)', 1],
  ['context.done()', '(e, c) => c.done(null, 1)', 1],
  ['nothing', '() => 7', null],
  ['nothing, a while later', '() => { setTimeout(() => {}, 5) }', null],
  ['callback() without a result', '(e, c, callback) => callback()', null],
  ['the first of two callbacks', '(e, c, callback) => { callback(null, 1); callback(null, 2) }', 1],
]) {
  test(`${how} is an answer`, async () => {
    const reply = await lambda(f(source));
    assert.deepStrictEqual([reply.status, reply.json], [200, expected]);
  });
}

test('a callback waits for the event loop, unless it is told not to', async () => {
  const source = (line) => f(`(e, c, callback) => {
    ${line}
    setTimeout(() => console.log('later'), 50);
    callback(null, 'called');
  }`);
  let started = Date.now();
  let reply = await lambda(source(''));
  assert.deepStrictEqual([reply.json, reply.stdout], ['called', 'later\n']);
  started = Date.now();
  reply = await lambda(source('c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1e6).unref();'));
  assert.strictEqual(reply.json, 'called');
  assert.ok(Date.now() - started < 20000);
});

test('a callback does not wait for a timer that never ends, if told so', async () => {
  const reply = await lambda(f(`(e, c, callback) => {
    c.callbackWaitsForEmptyEventLoop = false;
    setTimeout(() => process.exit(), 3000);
    setInterval(() => {}, 1000);
    callback(null, 'called');
  }`));
  assert.strictEqual(reply.json, 'called');
});

for (const [how, source, type, message] of [
  ['throw', '() => { throw new TypeError("t") }', 'TypeError', 't'],
  ['reject', 'async () => { throw new RangeError("r") }', 'RangeError', 'r'],
  ['callback(error)', '(e, c, callback) => callback(new SyntaxError("s"))', 'SyntaxError', 's'],
  ['callback(text)', '(e, c, callback) => callback("text")', 'string', 'text'],
  ['context.fail()', '(e, c) => c.fail(new Error("f"))', 'Error', 'f'],
  ['context.done(error)', '(e, c) => c.done(new Error("d"))', 'Error', 'd'],
  ['throw text', '() => { throw "text" }', 'string', 'text'],
  ['reject with nothing', 'async () => { throw undefined }', 'undefined', 'undefined'],
]) {
  test(`${how} is an error`, async () => {
    const reply = await lambda(f(source));
    assert.deepStrictEqual([reply.status, reply.json.errorType, reply.json.errorMessage], [500, type, message]);
  });
}

test('a promise that nothing can settle is an error, not a wait for the deadline', async () => {
  const reply = await lambda(f('async () => { await new Promise(() => {}) }'));
  assert.strictEqual(reply.json.errorType, 'Runtime.NodeJsExit');
});

test('large bodies go both ways', async () => {
  const body = Buffer.alloc(4 << 20, '0123456789abcdef');
  const reply = await lambda(f('async (e) => ({ statusCode: 200, body: e.body + e.body })'), { method: 'POST', body,
    headers: { 'Content-Type': 'text/plain' } });
  assert.ok(reply.body.equals(Buffer.concat([body, body])));
});

/* ---- modules ---- */

for (const [what, source, ending, symbol] of [
  ['exports.name', 'exports.f = async () => 1', 'js', 'f'],
  ['module.exports = {name}', 'module.exports = { f: async () => 1 }', 'cjs', 'f'],
  ['export const', 'export const f = async () => 1', 'mjs', 'f'],
  ['export function', 'export async function f() { return 1 }', 'mjs', 'f'],
  ['export default {name}', 'export default { f: async () => 1 }', 'mjs', 'f'],
  ['a compiled module', 'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { f: async () => 1 }', 'js', 'f'],
  ['handler of an api file', 'exports.handler = async () => 1', 'js', 'handler'],
  ['handler behind module.exports', 'module.exports = { handler: async () => 1 }', 'js', 'default'],
]) {
  test(`the handler is found in ${what}`, async () => {
    const reply = await call(source, { symbol, ending });
    assert.deepStrictEqual([reply.json, reply.kind], [1, 'lambda']);
  });
}

describe('streaming', () => {
  const stream = (body, options) => lambda(`exports.f = awslambda.streamifyResponse(${body})`, options);

  test('what is written goes out, with a type', async () => {
    const reply = await stream(`async (event, out, context) => {
      out.setContentType('text/plain');
      out.write('a' + event.rawPath);
      await new Promise((done) => setTimeout(done, 5));
      out.write(Buffer.from('b'));
      out.write({ c: context.functionName });
      out.end('d');
    }`, { target: '/p' });
    assert.deepStrictEqual([reply.status, reply.headers['content-type'], reply.text],
      [200, 'text/plain', 'a/pb{"c":"fun"}d']);
  });

  test('HttpResponseStream.from() gives status, headers and cookies', async () => {
    const reply = await stream(`async (event, out) => {
      out = awslambda.HttpResponseStream.from(out, { statusCode: 418, headers: { 'Content-Type': 'text/x', 'X-A': '1' },
        cookies: ['a=1', 'b=2'] });
      out.write('tea');
      out.end();
    }`);
    assert.deepStrictEqual([reply.status, reply.headers['content-type'], reply.headers['x-a'], reply.headers['set-cookie'], reply.text],
      [418, 'text/x', '1', ['a=1', 'b=2'], 'tea']);
  });

  test('a prelude that is written by hand counts as well', async () => {
    const reply = await stream(`async (event, out) => {
      out.setContentType('application/vnd.awslambda.http-integration-response');
      out.write('{"statusCode": 201, "headers"');
      out.write(': {"X-A": "1", "content-type": "text/x"}}\\0\\0\\0\\0');
      out.write('\\0\\0\\0\\0body');
      out.end();
    }`);
    assert.deepStrictEqual([reply.status, reply.headers['x-a'], reply.text], [201, '1', 'body']);
  });

  test('nothing written is an empty answer', async () => {
    const reply = await stream('async (event, out) => { out.end() }');
    assert.deepStrictEqual([reply.status, reply.text, reply.headers['content-type']], [200, '', 'application/octet-stream']);
  });

  test('a handler that forgets to end the stream is ended for', async () => {
    const reply = await stream('async (event, out) => { out.write("x") }');
    assert.strictEqual(reply.text, 'x');
  });

  test('pipeline() works', async () => {
    const reply = await stream(`async (event, out) => {
      const { pipeline } = require('stream/promises');
      await pipeline(require('stream').Readable.from(['a', 'b', 'c']), require('zlib').createGzip(), out);
    }`);
    assert.strictEqual(require('zlib').gunzipSync(reply.body).toString(), 'abc');
  });

  test('an error before anything was written is an answer', async () => {
    const reply = await stream('async () => { throw new TypeError("t") }');
    assert.deepStrictEqual([reply.status, reply.json.errorType], [500, 'TypeError']);
  });

  test('an error afterwards breaks the answer off', async () => {
    await assert.rejects(stream(`async (event, out) => {
      out.write('x');
      await new Promise((done) => setTimeout(done, 20));
      throw new TypeError('t');
    }`), /aborted|hang up/);
  });

  test('a bad prelude is a marshal error', async () => {
    const reply = await stream('async (event, out) => { awslambda.HttpResponseStream.from(out, { statusCode: 99 }).end() }');
    assert.strictEqual(reply.json.errorType, 'Runtime.MarshalError');
  });

  test('an invocation collects', async () => {
    let reply = await stream('async (event, out) => { out.write(JSON.stringify(event)); out.end() }',
      { method: 'POST', body: '{"a":1}', trigger: 'invoke' });
    assert.deepStrictEqual(reply.json, { a: 1 });
    reply = await stream(`async (event, out) => {
      out = awslambda.HttpResponseStream.from(out, { statusCode: 201 });
      out.end('x');
    }`, { method: 'POST', body: '{}', trigger: 'invoke' });
    assert.deepStrictEqual(reply.json, { statusCode: 201, body: 'x', isBase64Encoded: false });
  });
});
