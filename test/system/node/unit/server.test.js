'use strict';

/* A server that listens while its module loads. */

const assert = require('assert');
const { test } = require('node:test');
const { Worker, call, read } = require('./lib');

const LISTENER = '(req, res) => res.end(req.method + " " + req.url)';

for (const [what, source, ending] of [
  ['createServer().listen()', `require('http').createServer(${LISTENER}).listen(3000)`, 'js'],
  ['listen() in an ES module', `import http from 'http'; http.createServer(${LISTENER}).listen(3000)`, 'mjs'],
  ['listen({port, host})', `require('http').createServer(${LISTENER}).listen({ port: 3000, host: '127.0.0.1' })`, 'js'],
  ['listen(path)', `require('http').createServer(${LISTENER}).listen('/tmp/x.sock')`, 'js'],
  ['a server that is exported', `module.exports = require('http').createServer(${LISTENER})`, 'js'],
  ['export default server', `import http from 'http'; export default http.createServer(${LISTENER})`, 'mjs'],
  ['a listen() that comes later', `const http = require('http'); setTimeout(() => http.createServer(${LISTENER}).listen(3000), 50)`, 'js'],
  ['a listener that is set later', `const s = require('http').createServer(); s.listen(3000); s.on('request', ${LISTENER})`, 'js'],
]) {
  test(`requests come to ${what}`, async () => {
    const reply = await call(source, { ending, target: '/a?b' });
    assert.deepStrictEqual([reply.kind, reply.text], ['server', 'GET /a?b']);
  });
}

test('the server believes that it listens', async () => {
  const reply = await call(`
    const server = require('http').createServer((req, res) => res.end(JSON.stringify({ a: server.address(), l: server.listening, events })));
    const events = [];
    server.on('listening', () => events.push('event'));
    server.listen(3000, '127.0.0.1', () => events.push('callback'));
    events.push('returned ' + (server.listening && server.address().port));
  `);
  assert.deepStrictEqual(JSON.parse(reply.text), {
    a: { address: '127.0.0.1', family: 'IPv4', port: 3000 },
    l: true,
    events: ['returned 3000', 'event', 'callback'],
  });
});

test('no port is opened', async () => {
  const reply = await call(`
    const http = require('http');
    const net = require('net');
    http.createServer((req, res) => {
      net.connect(3999, '127.0.0.1').on('error', (e) => res.end(e.code)).on('connect', () => res.end('connected'));
    }).listen(3999);
  `);
  assert.strictEqual(reply.text, 'ECONNREFUSED');
});

test('a server that a handler starts is a real one', async () => {
  const reply = await call(`
    const http = require('http');
    module.exports = (req, res) => {
      const inner = http.createServer((q, r) => r.end('inner')).listen(0, '127.0.0.1', () => {
        http.get({ port: inner.address().port, host: '127.0.0.1' }, (r) => { r.pipe(res); r.on('end', () => inner.close()) });
      });
    };
  `);
  assert.deepStrictEqual([reply.kind, reply.text], ['vercel', 'inner']);
});

test('of several servers the one on $PORT gets the requests, else the first', async () => {
  const source = `
    const http = require('http');
    for (const port of [9000, 9001]) http.createServer((req, res) => res.end(String(port))).listen(port);
  `;
  assert.strictEqual((await call(source)).text, '9000');
  assert.strictEqual((await call(source, { env: { PORT: '9001' } })).text, '9001');
});

test('a server that was closed again does not count', async () => {
  const reply = await call(`
    const http = require('http');
    http.createServer().listen(9000).close();
    http.createServer((req, res) => res.end('second')).listen(9001);
  `);
  assert.strictEqual(reply.text, 'second');
});

test('any handler name finds the server, if nothing of this name is exported', async () => {
  const reply = await call(`require('http').createServer(${LISTENER}).listen(3000)`, { symbol: 'server' });
  assert.strictEqual(reply.kind, 'server');
});

test('large bodies flow through', async () => {
  const body = Buffer.alloc(20 << 20, 'abc');
  const reply = await call('require("http").createServer((req, res) => req.pipe(res)).listen(1)', { method: 'POST', body });
  assert.ok(reply.body.equals(body));
});

test('an upgrade goes to the server, and bytes both ways', async () => {
  const worker = new Worker(`
    const server = require('http').createServer();
    server.on('upgrade', (req, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n');
      socket.write(req.url + ' ' + req.socket.remoteAddress + '\\n');
      socket.pipe(socket);
    }).listen(3000);
  `);
  worker.send({ target: '/up', headers: { Connection: 'Upgrade', Upgrade: 'echo', 'Mayfly-Client-Ip': '192.0.2.1' } }).catch(() => {});
  const [response, socket, head] = await new Promise((resolve) => worker.request.on('upgrade', (...args) => resolve(args)));
  assert.strictEqual(response.statusCode, 101);
  let text = head.toString();
  socket.on('data', (data) => { text += data; });
  socket.write('hello');
  while (!text.includes('hello')) await new Promise((done) => setTimeout(done, 10));
  assert.strictEqual(text, '/up 192.0.2.1\nhello');
  await worker.stop();
});

test('an upgrade that nobody waits for is a request', async () => {
  const reply = await call(`require('http').createServer(${LISTENER}).listen(3000)`, { headers: { Connection: 'Upgrade', Upgrade: 'x' } });
  assert.strictEqual(reply.text, 'GET /');
});

test('waitUntil() works for servers, too', async () => {
  const worker = new Worker(`require('http').createServer((req, res) => {
    globalThis[Symbol.for('@vercel/request-context')].get().waitUntil(Promise.resolve().then(() => console.log('waited')));
    res.end('x');
  }).listen(1)`);
  assert.strictEqual((await read(await worker.send())).toString(), 'x');
  worker.socket.end();
  await worker.ended;
  assert.strictEqual(worker.stdout, 'waited\n');
});
