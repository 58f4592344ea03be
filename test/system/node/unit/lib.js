'use strict';

/* One function, one process, one request: what a test needs around the handler kinds. */

const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const HOST = path.resolve(__dirname, '../../../../runtimes/node/host');
const START = { function: 'fun', version: 'v'.repeat(16), handler: 'm.f', isolation: 'request', dev: false,
  timeoutMs: 30000, memoryBytes: 128 * 1024 * 1024 };

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mft-node.'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

let count = 0;

/* files: the module's text, or {name: text} of which the first is the module. */
function write(files, ending) {
  const place = path.join(folder, String(count++));
  if (typeof files === 'string') files = { [`m.${ending}`]: files };
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(place, name)), { recursive: true });
    fs.writeFileSync(path.join(place, name), text);
  }
  /* Packages that a test wants are found where NODE_PATH says, by import too. */
  if (process.env.MAYFLY_TEST_MODULES) fs.symlinkSync(process.env.MAYFLY_TEST_MODULES, path.join(place, 'node_modules'));
  return path.join(place, Object.keys(files)[0]);
}

class Worker {
  constructor(files, { symbol = 'default', ending = 'js', start = {}, env = {}, flags = [] } = {}) {
    this.file = write(files, ending);
    this.child = spawn(process.execPath, [...flags, path.join(__dirname, 'worker.js'), this.file, symbol,
      JSON.stringify({ ...START, ...start })],
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], cwd: path.dirname(this.file), env: { ...process.env, ...env } });
    this.socket = this.child.stdio[3];
    this.stdout = this.stderr = '';
    this.child.stdout.on('data', (data) => { this.stdout += data; });
    this.child.stderr.on('data', (data) => { this.stderr += data; });
    this.ended = new Promise((resolve) => this.child.on('close', resolve));
  }

  /* The response as Node's client has it, its body not read yet. */
  send({ method = 'GET', target = '/', headers = {}, body, trigger, id = '00000000-0000-7000-8000-000000000000',
    deadline } = {}) {
    const request = http.request({ method, path: target, createConnection: () => this.socket, setHost: false,
      headers: Array.isArray(headers) ? headers : { Host: 'localhost', 'Mayfly-Request-Id': id,
        ...(trigger ? { 'Mayfly-Trigger': trigger } : {}), ...(deadline ? { 'Mayfly-Deadline-Ms': deadline } : {}),
        ...headers } });
    this.request = request;
    const response = new Promise((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', (error) => this.ended.then(() => {
        error.message += `\n${this.stderr}`;
        reject(error);
      }));
    });
    if (body !== null) request.end(body);
    return response;
  }

  async stop() {
    this.socket.destroy();
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

async function read(response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/* All of it: {status, headers, body, text, json, error, stdout, stderr, kind}. */
async function call(files, options = {}) {
  const worker = new Worker(files, options);
  try {
    const response = await worker.send(options);
    const body = await read(response);
    worker.socket.end();
    await worker.ended;
    return {
      status: response.statusCode,
      message: response.statusMessage,
      headers: response.headers,
      rawHeaders: response.rawHeaders,
      body,
      text: body.toString(),
      get json() { return JSON.parse(this.text); },
      stdout: worker.stdout,
      stderr: worker.stderr,
      kind: (/^kind (\w+)$/m.exec(worker.stderr) || [])[1],
    };
  } finally {
    await worker.stop();
  }
}

/* The message of a function that cannot be loaded. */
async function refusal(files, options) {
  const worker = new Worker(files, options);
  const code = await worker.ended;
  await worker.stop();
  if (code !== 3) throw new Error(`loaded: ${worker.stderr}`);
  return worker.stderr.trim();
}

module.exports = { HOST, START, Worker, call, read, refusal };
