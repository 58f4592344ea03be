'use strict';

/* Which handler kind a module is, and what is said of one that is none. */

const assert = require('assert');
const { test } = require('node:test');
const { call, refusal } = require('./lib');

for (const [source, symbol, kind] of [
  ['exports.f = async (event, context) => 1', 'f', 'lambda'],
  ['exports.f = () => 1', 'f', 'lambda'],
  ['exports.f = (req, res) => res.end("x")', 'f', 'vercel'],
  ['exports.f = async function (request, response) { response.end("x") }', 'f', 'vercel'],
  ['exports.f = awslambda.streamifyResponse(async (event, response) => response.end("x"))', 'f', 'lambda'],
  ['module.exports = awslambda.streamifyResponse(async (event, out) => out.end("x"))', 'default', 'lambda'],
  ['exports.f = (event, responseStream) => 1', 'f', 'lambda'],
  ['exports.f = require("http").createServer((req, res) => res.end("x"))', 'f', 'server'],
  ['exports.f = { fetch: () => new Response("x") }', 'f', 'web'],
  ['exports.GET = () => new Response("x"); exports.f = async () => 1', 'f', 'lambda'],
  ['exports.GET = () => new Response("x"); exports.handler = async () => 1', 'default', 'web'],
  ['exports.handler = async () => 1', 'default', 'lambda'],
  ['module.exports = (req, res) => res.end("x"); module.exports.handler = async () => 1', 'default', 'vercel'],
  ['module.exports = (req, res) => res.end("x"); module.exports.GET = () => new Response("x")', 'default', 'web'],
  ['module.exports = (q, r) => r.end("no"); require("http").createServer((q, r) => r.end("x")).listen(1)', 'default', 'server'],
]) {
  test(`${source}, as ${symbol}, is ${kind}`, async () => {
    const reply = await call(source, { symbol });
    assert.deepStrictEqual([reply.kind, reply.status], [kind, 200]);
  });
}

for (const [source, symbol, pattern] of [
  ['exports.other = () => 1; exports.second = 1', 'f', /^Runtime\.HandlerNotFound: m\.js exports no "f": it exports other, second\. Export/],
  ['', 'f', /m\.js exports no "f": it exports nothing/],
  ['exports.f = 7', 'f', /m\.js: "f" is of type number, not a function/],
  ['exports.f = class A {}', 'f', /m\.js: "f" is a class, not a function/],
  ['exports.f = {}', 'f', /m\.js: "f" is of type object/],
  ['exports.other = () => 1', 'default', /^Runtime\.HandlerNotFound: m\.js holds no handler: it exports other.*export default/],
  ['module.exports = 7', 'default', /m\.js holds no handler/],
  ['', 'toString', /exports no "toString"/],
]) {
  test(`${source || 'an empty file'}, as ${symbol}, is refused with the mend`, async () => {
    assert.match(await refusal(source, { symbol }), pattern);
  });
}
