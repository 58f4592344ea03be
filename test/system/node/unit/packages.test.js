'use strict';

/* Real packages: applications as people have them. MAYFLY_TEST_MODULES is a folder node_modules. */

const assert = require('assert');
const { test } = require('node:test');
const path = require('path');
const { Worker, call } = require('./lib');

const JSON_TYPE = { 'Content-Type': 'application/json' };
const EXPRESS = `
  const express = require('express');
  const app = express();
  app.use(express.json());
  app.get('/hello/:name', (req, res) => res.json({ hello: req.params.name, q: req.query, ip: req.ip }));
  app.post('/echo', (req, res) => res.status(201).send(req.body));
  app.get('/fail', () => { throw new Error('handled by express') });
`;

for (const [how, end, symbol] of [
  ['module.exports = app', 'module.exports = app;', 'default'],
  ['app.listen()', 'app.listen(process.env.PORT || 3000, () => console.log("ready"));', 'default'],
  ['both', 'app.listen(3000); module.exports = app;', 'default'],
  ['a function around it', 'module.exports = (req, res) => app(req, res);', 'default'],
  ['by name', 'exports.app = app;', 'app'],
]) {
  test(`Express: ${how}`, async () => {
    let reply = await call(EXPRESS + end, { symbol, target: '/hello/you?a=1', headers: { 'Mayfly-Client-Ip': '192.0.2.9' } });
    assert.deepStrictEqual(reply.json, { hello: 'you', q: { a: '1' }, ip: '192.0.2.9' }, reply.stderr);
    reply = await call(EXPRESS + end, { symbol, method: 'POST', target: '/echo', body: '{"a":[1]}', headers: JSON_TYPE });
    assert.deepStrictEqual([reply.status, reply.json], [201, { a: [1] }]);
    reply = await call(EXPRESS + end, { symbol, method: 'POST', target: '/echo', body: '{"a', headers: JSON_TYPE });
    assert.strictEqual(reply.status, 400);
    reply = await call(EXPRESS + end, { symbol, target: '/fail', env: { NODE_ENV: 'production' } });
    assert.strictEqual(reply.status, 500);
    assert.strictEqual((await call(EXPRESS + end, { symbol, target: '/nothing' })).status, 404);
  });
}

for (const [how, end] of [
  ['module.exports = app', 'module.exports = app;'],
  ['app.listen()', 'app.listen(3000);'],
  ['app.callback()', 'module.exports = app.callback();'],
]) {
  test(`Koa: ${how}`, async () => {
    const reply = await call(`
      const Koa = require('koa');
      const app = new Koa();
      app.use(async (ctx) => { ctx.body = { path: ctx.path, ip: ctx.ip, q: ctx.query } });
      ${end}`, { target: '/k?a=1', headers: { 'Mayfly-Client-Ip': '192.0.2.9' } });
    assert.deepStrictEqual(reply.json, { path: '/k', ip: '192.0.2.9', q: { a: '1' } }, reply.stderr);
  });
}

for (const [how, end, ending] of [
  ['module.exports = app', 'module.exports = app;', 'js'],
  ['app.listen()', 'app.listen({ port: 3000 });', 'js'],
  ['app.listen() on an address', 'app.listen({ port: 3000, host: "0.0.0.0" }).then((address) => console.log(address));', 'js'],
  ['a function that emits', 'module.exports = async (req, res) => { await app.ready(); app.server.emit("request", req, res) };', 'js'],
]) {
  test(`Fastify: ${how}`, async () => {
    const source = `
      const app = require('fastify')();
      app.get('/f', async (request) => ({ q: request.query, ip: request.ip }));
      app.post('/f', async (request) => request.body);
      ${end}`;
    let reply = await call(source, { ending, target: '/f?a=1', headers: { 'Mayfly-Client-Ip': '192.0.2.9' } });
    assert.deepStrictEqual(reply.json, { q: { a: '1' }, ip: '192.0.2.9' }, reply.stderr);
    reply = await call(source, { ending, method: 'POST', target: '/f', body: '{"a":[1]}', headers: JSON_TYPE });
    assert.deepStrictEqual(reply.json, { a: [1] });
  });
}

for (const [how, source] of [
  ['on a server', `
    const server = require('http').createServer((req, res) => res.end('plain'));
    const wss = new WebSocketServer({ server, path: '/ws' });
    server.listen(3000);`],
  ['beside Express', `
    const app = require('express')();
    app.get('/', (req, res) => res.send('plain'));
    const server = app.listen(3000);
    const wss = new WebSocketServer({ server });
    module.exports = app;`],
  ['without a server', `
    const wss = new WebSocketServer({ noServer: true });
    const server = require('http').createServer((req, res) => res.end('plain'));
    server.on('upgrade', (req, socket, head) => wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req)));
    server.listen(3000);`],
]) {
  test(`ws: ${how}`, async () => {
    const { WebSocket } = require(path.join(process.env.MAYFLY_TEST_MODULES, 'ws'));
    const full = `
      const { WebSocketServer } = require('ws');
      ${source}
      wss.on('connection', (ws, req) => {
        ws.send('welcome ' + req.url);
        ws.on('message', (data, isBinary) => isBinary ? ws.send(data) : ws.send('echo ' + data));
      });`;
    assert.strictEqual((await call(full)).text, 'plain');
    const worker = new Worker(full);
    const ws = new WebSocket('ws://localhost/ws?a=1', { createConnection: () => worker.socket });
    const messages = [];
    const wanted = 3;
    await new Promise((resolve, reject) => {
      ws.on('error', reject);
      ws.on('open', () => {
        ws.send('hello');
        ws.send(Buffer.alloc(200000, 1));
      });
      ws.on('message', (data) => {
        messages.push(data.length > 100 ? data.length : data.toString());
        if (messages.length === wanted) resolve();
      });
    });
    assert.deepStrictEqual(messages, ['welcome /ws?a=1', 'echo hello', 200000]);
    const closed = new Promise((resolve) => ws.on('close', resolve));
    ws.close(1000);
    assert.strictEqual(await closed, 1000);
    await worker.stop();
  });
}
