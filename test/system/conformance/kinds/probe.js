'use strict';
// What the function does, for the kinds in JavaScript. A request is {method, path, query, headers,
// body}: pairs, and an async iterable of Buffers. An answer is {status, headers, pieces}.

const crypto = require('node:crypto');
const net = require('node:net');

const TEXT = ['Content-Type', 'text/plain; charset=utf-8'];
let asked = 0;

function deepDown() { throw new TypeError('broken on purpose'); }
function deep_down() { deepDown(); }

function sleeper() { for (;;); }

function waitForClient(port) {
  return new Promise((resolve, reject) => {
    const link = net.connect(port, '127.0.0.1');
    link.once('data', () => { link.destroy(); resolve(); });
    link.once('error', reject);
  });
}

function joined(pairs) {
  const result = {};
  for (const [name, value] of pairs)
    result[name] = name in result ? `${result[name]},${value}` : value;
  return result;
}

async function whole(body) {
  const pieces = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function echo(request) {
  return JSON.stringify({
    method: request.method, path: request.path, query: joined(request.query),
    headers: joined(request.headers.map(([name, value]) => [name.toLowerCase(), value])),
    body: (await whole(request.body)).toString('base64'),
  });
}

async function* stream(query) {
  yield Buffer.from('one\n');
  await waitForClient(Number(query.port));
  yield Buffer.from('two\n');
}

async function* download(query) {
  for (let i = 0; i < query.mb * 16; i++) yield Buffer.alloc(65536, 'd');
}

async function upload(body) {
  const sha = crypto.createHash('sha256');
  let total = 0;
  for await (const piece of body) { sha.update(piece); total += piece.length; }
  return `${total} ${sha.digest('hex')}`;
}

function log() {
  console.log('to stdout: grüße');
  console.error('to stderr: grüße');
  return 'logged';
}

function numbers() {
  return [Math.random(), crypto.randomUUID(), globalThis.crypto?.randomUUID?.() ?? crypto.webcrypto.randomUUID(),
    crypto.randomBytes(8).toString('hex'), crypto.randomInt(2 ** 47)].join('\n');
}

exports.answer = async function answer(request) {
  asked++;
  const query = Object.fromEntries(request.query);
  const verb = request.path.split('/').pop();
  const text = async (body) => [Buffer.from(await body)];
  switch (verb) {
  case 'echo':
    return { status: 200, headers: [['Content-Type', 'application/json']], pieces: await text(echo(request)) };
  case 'headers':
    return { status: 200, pieces: await text('ok'),
      headers: [['X-Mixed-Case', 'MiXed'], ['Set-Cookie', 'a=1; Path=/'], ['Set-Cookie', 'b=2'], TEXT] };
  case 'binary':
    return { status: 200, headers: [['Content-Type', 'application/octet-stream']],
      pieces: [Buffer.from(Array.from({ length: 256 }, (_, i) => i))] };
  case 'stream': return { status: 200, headers: [TEXT], pieces: stream(query) };
  case 'download': return { status: 200, headers: [TEXT], pieces: download(query) };
  }
  const simple = { status: () => 'status', unicode: () => whole(request.body), upload: () => upload(request.body),
    error: deep_down, sleep: sleeper, log, env: () => process.env.GREETING, count: () => String(asked),
    random: numbers };
  return { status: Number(query.code ?? 200), headers: [TEXT], pieces: await text(await simple[verb]()) };
};

/* A node:http request as above. */
exports.fromNode = (req) => {
  const url = new URL(req.url, 'http://localhost');
  const headers = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) headers.push([req.rawHeaders[i], req.rawHeaders[i + 1]]);
  return { method: req.method, path: decodeURIComponent(url.pathname), query: [...url.searchParams], headers, body: req };
};

/* Answers a node:http request. */
exports.serveNode = async (req, res) => {
  const { once } = require('node:events');
  const { status, headers, pieces } = await exports.answer(exports.fromNode(req));
  res.statusCode = status;
  for (const [name, value] of headers) {
    if (name === 'Set-Cookie') res.appendHeader ? res.appendHeader(name, value)
      : res.setHeader(name, [].concat(res.getHeader(name) ?? [], value));
    else res.setHeader(name, value);
  }
  for await (const piece of pieces) if (!res.write(piece)) await once(res, 'drain');
  res.end();
};
