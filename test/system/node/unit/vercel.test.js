'use strict';

/* (req, res), with Vercel's helpers. */

const assert = require('assert');
const { test } = require('node:test');
const { Worker, call, read } = require('./lib');

const handler = (body) => `module.exports = ${body}`;
const JSON_TYPE = { 'Content-Type': 'application/json' };
const post = (body, headers, more) => ({ method: 'POST', body, headers, ...more });

test('a plain Node listener works', async () => {
  const reply = await call(handler(`(req, res) => {
    res.writeHead(201, { 'X-A': '1' });
    res.end(req.method + ' ' + req.url);
  }`), { target: '/a/b?c=d%20e' });
  assert.deepStrictEqual([reply.kind, reply.status, reply.headers['x-a'], reply.text],
    ['vercel', 201, '1', 'GET /a/b?c=d%20e']);
});

test('an ES module\'s default export works, and one that is compiled', async () => {
  for (const [source, ending] of [
    ['export default async function handler(req, res) { res.end("x") }', 'mjs'],
    ['exports.__esModule = true; exports.default = (req, res) => res.end("x")', 'js'],
  ]) assert.strictEqual((await call(source, { ending })).text, 'x');
});

test('the handler is waited for, however long it takes to answer', async () => {
  const reply = await call(handler('(req, res) => { setTimeout(() => res.end("later"), 50) }'));
  assert.strictEqual(reply.text, 'later');
});

test('the socket knows the client', async () => {
  const reply = await call(handler('(req, res) => res.json([req.socket.remoteAddress, req.connection.remoteFamily])'),
    { headers: { 'Mayfly-Client-Ip': '2001:db8::7' } });
  assert.deepStrictEqual(reply.json, ['2001:db8::7', 'IPv6']);
});

/* ---- req ---- */

for (const [target, expected] of [
  ['/', {}],
  ['/?a=1&b=2', { a: '1', b: '2' }],
  ['/?a=1&a=2&a=3', { a: ['1', '2', '3'] }],
  ['/?id=7&id=8', { id: ['7', '8'] }],
  ['/?a=%C3%A4+b&c', { a: 'ä b', c: '' }],
  ['/?toString=1&__proto__=2', { toString: '1' }],
]) {
  test(`req.query of ${target}`, async () => {
    const reply = await call(handler('(req, res) => res.json(req.query)'), { target });
    assert.deepStrictEqual(reply.json, expected);
  });
}

for (const [header, expected] of [
  ['a=1; b=2', { a: '1', b: '2' }],
  ['a="quoted"; b=%C3%A4; c=%zz; a=again', { a: 'quoted', b: 'ä', c: '%zz' }],
  ['novalue; =noname; x=a=b', { x: 'a=b' }],
]) {
  test(`req.cookies of ${header}`, async () => {
    const reply = await call(handler('(req, res) => res.json(req.cookies)'), { headers: { Cookie: header } });
    assert.deepStrictEqual(reply.json, expected);
  });
}

for (const [type, body, expected] of [
  ['application/json', '{"a":[1]}', { a: [1] }],
  ['application/json; charset=utf-8', '"ä"', 'ä'],
  ['application/json', '', {}],
  ['application/x-www-form-urlencoded', 'a=1&b=x+y&a=2', { a: ['1', '2'], b: 'x y' }],
  ['text/plain', 'téxt', 'téxt'],
  ['application/octet-stream', 'abc', { type: 'Buffer', data: [97, 98, 99] }],
  ['image/png', 'abc', 'undefined'],
]) {
  for (const chunked of [false, true]) {
    test(`req.body of type ${type}: ${body}${chunked ? ', chunked' : ''}`, async () => {
      const headers = { 'Content-Type': type, ...(chunked ? { 'Transfer-Encoding': 'chunked' } : {}) };
      const reply = await call(handler('(req, res) => res.json(req.body === undefined ? "undefined" : req.body)'), post(body, headers));
      assert.deepStrictEqual(reply.json, expected);
    });
  }
}

test('a body that comes in pieces is whole', async () => {
  const worker = new Worker(handler('(req, res) => res.json(req.body)'));
  const response = worker.send({ method: 'POST', headers: { ...JSON_TYPE, 'Content-Length': 100009 }, body: null });
  for (const piece of ['{"a', '":"', 'x'.repeat(50000), 'y'.repeat(50000), '"', '}', ' ']) {
    worker.request.write(piece);
    await new Promise((done) => setTimeout(done, 10));
  }
  assert.strictEqual((await read(await response)).length, 100008);
  await worker.stop();
});

test('invalid JSON is the client\'s mistake', async () => {
  for (const body of ['async (req, res) => res.json(req.body)', '(req, res) => res.json(req.body)']) {
    const reply = await call(handler(body), post('{"a', JSON_TYPE));
    assert.deepStrictEqual([reply.status, reply.text], [400, 'Invalid JSON']);
  }
});

test('invalid JSON can be caught, and does not matter to who does not ask', async () => {
  let reply = await call(handler('(req, res) => { try { req.body } catch (e) { res.status(422).send(e.message) } }'), post('{"a', JSON_TYPE));
  assert.deepStrictEqual([reply.status, reply.text], [422, 'Invalid JSON']);
  reply = await call(handler('(req, res) => res.send("fine")'), post('{"a', JSON_TYPE));
  assert.strictEqual(reply.text, 'fine');
});

for (const [how, source] of [
  ['events', 'let n = 0; req.on("data", (d) => { n += d.length }); req.on("end", () => res.end(String(n)))'],
  ['for await', '(async () => { let n = 0; for await (const d of req) n += d.length; res.end(String(n)) })()'],
  ['readable', 'let n = 0; req.on("readable", () => { let d; while ((d = req.read()) !== null) n += d.length }); req.on("end", () => res.end(String(n)))'],
  ['pipe', 'res.setHeader("X", 1); let n = 0; req.pipe(new (require("stream").Writable)({ write(d, e, c) { n += d.length; c() }, final(c) { res.end(String(n)); c() } }))'],
  ['events, after req.body', 'req.body; let n = 0; req.on("data", (d) => { n += d.length }); req.on("end", () => res.end(String(n)))'],
]) {
  for (const [type, size] of [['application/json', 7], ['text/plain', 1 << 20], ['image/png', 3 << 20], ['text/plain', 7 << 20]]) {
    if (how.endsWith('req.body') && size > 6 << 20) continue;
    test(`the body can be read as a stream: ${how}, ${type}, ${size} bytes`, async () => {
      const body = Buffer.alloc(size, '"123456"');
      if (size === 7) body.write('"12345"');
      for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
        const reply = await call(handler(`(req, res) => { ${source} }`), post(body, { 'Content-Type': type, ...headers }));
        assert.strictEqual(reply.text, String(size), reply.stderr);
      }
    });
  }
}

test('a body that is too long for req.body is refused there, with the mend', async () => {
  const reply = await call(handler('(req, res) => res.json(req.body)'), post(Buffer.alloc(7 << 20, 'x'), { 'Content-Type': 'text/plain' }));
  assert.strictEqual(reply.status, 413);
  assert.match(reply.text, /longer than the 6 MB.*stream/);
});

test('req.body, query and cookies may be written to', async () => {
  const reply = await call(handler(`(req, res) => {
    req.body = { mine: 1 };
    req.query.more = 'q';
    req.cookies = 'c';
    res.json([req.body, req.query, req.cookies]);
  }`), post('{}', JSON_TYPE, { target: '/?a=1' }));
  assert.deepStrictEqual(reply.json, [{ mine: 1 }, { a: '1', more: 'q' }, 'c']);
});

/* ---- res ---- */

for (const [source, status, type, text] of [
  ['res.send("<p>ä</p>")', 200, 'text/html; charset=utf-8', '<p>ä</p>'],
  ['res.setHeader("Content-Type", "text/plain"); res.send("x")', 200, 'text/plain; charset=utf-8', 'x'],
  ['res.setHeader("Content-Type", "text/plain; charset=ascii"); res.send("x")', 200, 'text/plain; charset=ascii', 'x'],
  ['res.send(Buffer.from("b"))', 200, 'application/octet-stream', 'b'],
  ['res.send(new Uint8Array([98]))', 200, 'application/octet-stream', 'b'],
  ['res.send({ a: 1 })', 200, 'application/json; charset=utf-8', '{"a":1}'],
  ['res.send([1])', 200, 'application/json; charset=utf-8', '[1]'],
  ['res.send(7)', 200, 'application/json; charset=utf-8', '7'],
  ['res.send(true)', 200, 'application/json; charset=utf-8', 'true'],
  ['res.send(null)', 200, undefined, ''],
  ['res.send()', 200, undefined, ''],
  ['res.status(404).send("no")', 404, 'text/html; charset=utf-8', 'no'],
  ['res.status(201).json({ a: "ä" })', 201, 'application/json; charset=utf-8', '{"a":"ä"}'],
  ['res.setHeader("Content-Type", "application/vnd.api+json"); res.json({})', 200, 'application/vnd.api+json', '{}'],
  ['res.status(204).send("x")', 204, undefined, ''],
  ['res.status(304).json({})', 304, undefined, ''],
  ['res.redirect("/there")', 307, undefined, ''],
  ['res.redirect(308, "/there")', 308, undefined, ''],
]) {
  test(source, async () => {
    const reply = await call(handler(`(req, res) => { ${source} }`));
    assert.deepStrictEqual([reply.status, reply.headers['content-type'], reply.text], [status, type, text]);
    if (source.includes('redirect')) assert.strictEqual(reply.headers.location, '/there');
    if (status !== 204 && status !== 304) assert.strictEqual(reply.headers['content-length'], String(Buffer.byteLength(text)));
    if (text) assert.match(reply.headers.etag, /^W\/"[0-9a-f]+-.{27}"$/);
  });
}

test('an ETag of the author\'s counts, and is compared', async () => {
  const source = handler('(req, res) => { res.setHeader("ETag", \'"mine"\'); res.send("x") }');
  let reply = await call(source);
  assert.deepStrictEqual([reply.status, reply.headers.etag], [200, '"mine"']);
  reply = await call(source, { headers: { 'If-None-Match': '"other", W/"mine"' } });
  assert.deepStrictEqual([reply.status, reply.text], [304, '']);
  reply = await call(source, { headers: { 'If-None-Match': '"mine"' }, method: 'POST' });
  assert.strictEqual(reply.status, 200);
});

test('HEAD gets the length without the body', async () => {
  const reply = await call(handler('(req, res) => res.send("hello")'), { method: 'HEAD' });
  assert.deepStrictEqual([reply.status, reply.text, reply.headers['content-length']], [200, '', '5']);
});

test('res.redirect() without a URL says what it takes', async () => {
  const reply = await call(handler('(req, res) => res.redirect(301)'));
  assert.deepStrictEqual([reply.json.errorType, reply.status], ['TypeError', 500]);
  assert.match(reply.json.errorMessage, /res\.redirect\(\) takes a URL/);
});

/* ---- errors and the end ---- */

for (const source of ['(req, res) => { throw new RangeError("r") }', 'async (req, res) => { throw new RangeError("r") }']) {
  test(`${source} is an error`, async () => {
    const reply = await call(handler(source));
    assert.deepStrictEqual([reply.status, reply.json.errorType], [500, 'RangeError']);
  });
}

test('an error of the author\'s with a status is an error', async () => {
  const reply = await call(handler('() => { throw Object.assign(new Error("e"), { statusCode: 400, name: "ApiError" }) }'));
  assert.strictEqual(reply.status, 500);
});

test('a Response that is returned is sent', async () => {
  const reply = await call(handler('async () => new Response("web", { status: 202 })'));
  assert.deepStrictEqual([reply.status, reply.text], [202, 'web']);
});

test('what waitUntil() of @vercel/functions was given is waited for', async () => {
  const reply = await call(handler(`(req, res) => {
    const { waitUntil } = globalThis[Symbol.for('@vercel/request-context')].get();
    waitUntil(new Promise((done) => setTimeout(done, 30)).then(() => console.log('waited')));
    res.end('x');
  }`));
  assert.deepStrictEqual([reply.text, reply.stdout], ['x', 'waited\n']);
});

test('server-sent events arrive one by one', async () => {
  const worker = new Worker(handler(`async (req, res) => {
    res.setHeader('Content-Type', 'text/event-stream');
    for (let i = 0; i < 3; i++) {
      res.write('data: ' + i + '\\n\\n');
      await new Promise((done) => process.once('SIGUSR2', done));
    }
    res.end();
  }`));
  const response = await worker.send();
  const pieces = [];
  for await (const piece of response) {
    pieces.push(piece.toString());
    worker.child.kill('SIGUSR2');
  }
  assert.deepStrictEqual(pieces, ['data: 0\n\n', 'data: 1\n\n', 'data: 2\n\n']);
  await worker.stop();
});
