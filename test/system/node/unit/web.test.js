'use strict';

/* Request -> Response. */

const assert = require('assert');
const { test } = require('node:test');
const { Worker, call, read } = require('./lib');

const web = (source, options) => call(source, { ending: 'mjs', ...options });
const fetches = (body, options) => web(`export async function fetch(request, context) { ${body} }`, options);

/* ---- which function ---- */

for (const [what, source, ending] of [
  ['export function fetch', 'export function fetch() { return new Response("x") }', 'mjs'],
  ['export const fetch', 'export const fetch = async () => new Response("x")', 'mjs'],
  ['export default {fetch}', 'export default { fetch() { return new Response("x") } }', 'mjs'],
  ['export default of a class', 'class App { constructor() { this.text = "x" } fetch() { return new Response(this.text) } }\nexport default new App()', 'mjs'],
  ['exports.fetch', 'exports.fetch = () => new Response("x")', 'js'],
  ['module.exports = {fetch}', 'module.exports = { fetch: () => new Response("x") }', 'cjs'],
  ['exports.GET', 'exports.GET = () => new Response("x")', 'js'],
  ['an edge function', 'export const config = { runtime: "edge" }; export default (request) => new Response(new URL(request.url).pathname.slice(1) || "x")', 'mjs'],
]) {
  test(`the function is found in ${what}`, async () => {
    const reply = await call(source, { ending });
    assert.deepStrictEqual([reply.kind, reply.status, reply.text], ['web', 200, 'x']);
  });
}

const METHODS = `export function GET(request) { return new Response('got ' + request.method) }
  export const POST = async (request) => Response.json(await request.json(), { status: 201 });`;

test('named methods are called by their method', async () => {
  assert.strictEqual((await web(METHODS)).text, 'got GET');
  const reply = await web(METHODS, { method: 'POST', body: '{"a":1}' });
  assert.deepStrictEqual([reply.status, reply.json], [201, { a: 1 }]);
});

test('a method that is missing is told, with those that are not', async () => {
  const reply = await web(METHODS, { method: 'DELETE' });
  assert.deepStrictEqual([reply.status, reply.headers.allow], [405, 'GET, HEAD, POST, OPTIONS']);
});

test('HEAD is answered by GET without the body, OPTIONS with the methods', async () => {
  let reply = await web(METHODS, { method: 'HEAD' });
  assert.deepStrictEqual([reply.status, reply.text], [200, '']);
  reply = await web(METHODS, { method: 'OPTIONS' });
  assert.deepStrictEqual([reply.status, reply.headers.allow, reply.text], [204, 'GET, HEAD, POST, OPTIONS', '']);
  reply = await web(`${METHODS}\nexport const OPTIONS = () => new Response('mine')`, { method: 'OPTIONS' });
  assert.strictEqual(reply.text, 'mine');
});

test('one of the methods may be named as the handler', async () => {
  assert.strictEqual((await web(METHODS, { symbol: 'GET' })).text, 'got GET');
});

/* ---- the request ---- */

test('the request has URL, method, headers', async () => {
  const reply = await fetches(`return Response.json([request.url, request.method, request.headers.get('x-one'),
    request.headers.get('cookie'), request.headers.get('x-latin')])`,
  { target: '/a%20b?c=d&c=e', headers: { Host: 'example.org:8443', 'X-One': ['1', '2'], Cookie: 'a=1; b=2',
    'X-Forwarded-Proto': 'https', 'X-Latin': '\xe9' } });
  assert.deepStrictEqual(reply.json, ['https://example.org:8443/a%20b?c=d&c=e', 'GET', '1, 2', 'a=1; b=2', '\xe9']);
});

test('a host that is none does not matter, nor a path that looks like one', async () => {
  let reply = await fetches('return new Response(request.url)', { headers: { Host: 'a b' } });
  assert.strictEqual(reply.text, 'http://localhost/');
  reply = await fetches('return new Response(request.url)', { target: '//evil.example/x' });
  assert.strictEqual(reply.text, 'http://localhost//evil.example/x');
});

for (const [method, body] of [['POST', 'text'], ['PUT', 'text'], ['PATCH', 'text'], ['DELETE', 'text'], ['POST', '']]) {
  test(`the body of ${method} "${body}"`, async () => {
    const reply = await fetches('return new Response(await request.text() + "!")', { method, body,
      headers: { 'Content-Length': body.length } });
    assert.strictEqual(reply.text, `${body}!`);
  });
}

test('forms are read', async () => {
  const form = new FormData();
  form.set('name', 'ä');
  form.set('file', new Blob(['content']), 'f.txt');
  const request = new Request('http://x/', { method: 'POST', body: form });
  const reply = await fetches(`const form = await request.formData();
    return Response.json([form.get('name'), form.get('file').name, await form.get('file').text()])`,
  { method: 'POST', body: Buffer.from(await request.clone().arrayBuffer()), headers: { 'Content-Type': request.headers.get('content-type') } });
  assert.deepStrictEqual(reply.json, ['ä', 'f.txt', 'content']);
});

test('a large body flows through', async () => {
  const body = Buffer.alloc(20 << 20, 'abc');
  const reply = await fetches('return new Response(request.body)', { method: 'POST', body });
  assert.ok(reply.body.equals(body));
});

test('a GET with a body is answered', async () => {
  const reply = await fetches('return new Response(String(request.body))', { headers: { 'Content-Length': 3 }, body: 'abc' });
  assert.strictEqual(reply.text, 'null');
});

/* ---- the response ---- */

for (const [source, status, headers, text] of [
  ['new Response("x")', 200, { 'content-type': 'text/plain;charset=UTF-8', 'content-length': '1' }, 'x'],
  ['new Response(null, { status: 204 })', 204, { 'content-length': undefined }, ''],
  ['new Response(null, { status: 304 })', 304, {}, ''],
  ['new Response(null, { status: 205 })', 205, {}, ''],
  ['new Response()', 200, { 'content-length': '0' }, ''],
  ['new Response("")', 200, {}, ''],
  ['Response.json({ a: 1 }, { status: 418 })', 418, { 'content-type': 'application/json' }, '{"a":1}'],
  ['Response.redirect("http://x/y", 302)', 302, { location: 'http://x/y' }, ''],
  ['new Response(new Uint8Array([120]))', 200, {}, 'x'],
  ['new Response("x", { headers: { "Transfer-Encoding": "chunked", Connection: "close", "X-A": "1" } })', 200, { 'x-a': '1' }, 'x'],
  ['new Response("x", { headers: [["Set-Cookie", "a=1, 2"], ["Set-Cookie", "b=2"], ["X-M", "1"], ["X-M", "2"]] })', 200,
    { 'set-cookie': ['a=1, 2', 'b=2'], 'x-m': '1, 2' }, 'x'],
  ['new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode("s")); c.close() } }))', 200, { 'content-length': '1' }, 's'],
  ['{ status: 203, headers: new Headers({ a: "b" }), body: null }', 203, { a: 'b' }, ''],
]) {
  test(source, async () => {
    const reply = await fetches(`return ${source}`);
    assert.deepStrictEqual([reply.status, reply.text], [status, text], reply.text);
    for (const [name, value] of Object.entries(headers)) assert.deepStrictEqual(reply.headers[name], value);
  });
}

test('a status text is passed on', async () => {
  const reply = await fetches('return new Response("x", { status: 299, statusText: "Odd" })');
  assert.deepStrictEqual([reply.status, reply.message], [299, 'Odd']);
});

for (const [source, pattern] of [
  ['undefined', /GET \/p: the function returned undefined where a Response is wanted/],
  ['"text"', /returned a string/],
  ['({ a: 1 })', /returned an object of class Object/],
  ['Response.error()', /Response\.error\(\)/],
]) {
  test(`to return ${source} is an error that says what is wanted`, async () => {
    const reply = await fetches(`return ${source}`, { target: '/p?q' });
    assert.strictEqual(reply.json.errorType, 'Runtime.InvalidResponse');
    assert.match(reply.json.errorMessage, pattern);
  });
}

test('a Response that was read already is an error', async () => {
  const reply = await fetches('const r = new Response("x"); await r.text(); return r');
  assert.match(reply.json.errorMessage, /read already/);
});

test('an exception is the function\'s error', async () => {
  const reply = await fetches('throw new RangeError("r")');
  assert.deepStrictEqual([reply.status, reply.json.errorType], [500, 'RangeError']);
});

test('a stream arrives piece by piece', async () => {
  const worker = new Worker(`export function GET() {
    let i = 0;
    return new Response(new ReadableStream({
      async pull(controller) {
        if (i === 3) return controller.close();
        controller.enqueue(new TextEncoder().encode('piece ' + i++));
        await new Promise((done) => process.once('SIGUSR2', done));
      },
    }, { highWaterMark: 0 }));
  }`, { ending: 'mjs' });
  const response = await worker.send();
  const pieces = [];
  for await (const piece of response) {
    pieces.push(piece.toString());
    worker.child.kill('SIGUSR2');
  }
  assert.deepStrictEqual(pieces, ['piece 0', 'piece 1', 'piece 2']);
  await worker.stop();
});

test('a stream that fails breaks the answer off', async () => {
  await assert.rejects(fetches(`return new Response(new ReadableStream({
    start(c) { c.enqueue(new TextEncoder().encode('x')); setTimeout(() => c.error(new Error('e')), 20) } }))`), /aborted|hang up/);
});

test('a stream is read no faster than the client reads', async () => {
  const worker = new Worker(`export function GET() {
    let n = 0;
    setInterval(() => console.log(n), 50);
    return new Response(new ReadableStream({
      pull(controller) { n += 1 << 16; n > 1 << 28 ? controller.close() : controller.enqueue(new Uint8Array(1 << 16)) },
    }, { highWaterMark: 0 }));
  }`, { ending: 'mjs' });
  const response = await worker.send();
  response.pause();
  await new Promise((done) => setTimeout(done, 1000));
  const made = Number(worker.stdout.trim().split('\n').pop());
  assert.ok(made > 0 && made < 32 << 20, String(made));
  await worker.stop();
});

test('the signal tells that the client has left', async () => {
  const worker = new Worker(`export async function GET(request) {
    console.log('begun');
    const timer = setInterval(() => {}, 1000);
    await new Promise((done) => request.signal.addEventListener('abort', done));
    console.log('aborted');
    process.exit();
  }`, { ending: 'mjs' });
  worker.send().catch(() => {});
  while (!worker.stdout.includes('begun')) await new Promise((done) => setTimeout(done, 10));
  worker.socket.destroy();
  await worker.ended;
  assert.strictEqual(worker.stdout, 'begun\naborted\n');
});

/* ---- the second argument ---- */

test('what waitUntil() was given is waited for, behind the response', async () => {
  const worker = new Worker(`export function GET(request, context) {
    const busy = setInterval(() => {}, 1000); /* to wait for a signal alone keeps no process */
    context.waitUntil(new Promise((done) => process.once('SIGUSR2', done))
      .then(() => { clearInterval(busy); console.log('waited'); }));
    context.waitUntil(Promise.reject(new Error('told')));
    return new Response('x');
  }`, { ending: 'mjs' });
  assert.strictEqual((await read(await worker.send())).toString(), 'x');
  assert.strictEqual(worker.stdout, '');
  worker.child.kill('SIGUSR2');
  worker.socket.end();
  await worker.ended;
  assert.strictEqual(worker.stdout, 'waited\n');
  assert.match(worker.stderr, /waitUntil\(\): Error: told/);
});

test('three parameters are (request, env, context)', async () => {
  const reply = await web('export default { fetch(request, env, context) { return Response.json([env.MY_VARIABLE, typeof context.waitUntil]) } }',
    { env: { MY_VARIABLE: 'v' } });
  assert.deepStrictEqual(reply.json, ['v', 'function']);
});
