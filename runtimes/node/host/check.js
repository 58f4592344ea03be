'use strict';

/* Whether this node survives a fork: a canary does what workers do. Prints node's path, its version,
 * "fork" or "single", and why not "fork"; then the files that this was tried out with, one a line: while
 * they are the same, so is the answer. */

const path = require('path');

const SECONDS_MAX = 8;
const addon = require('./addon').load(path.join(__dirname, '..', 'mayfly.node'), 'single');

/* The program, its libraries, our own code, and what decides which libraries those are. */
function files() {
  const maps = require('fs').readFileSync('/proc/self/maps', 'utf8');
  const mapped = [...maps.matchAll(/^\S+ \S+ \S+ \S+ \S+ +(\/.*)$/gm)].map((line) => line[1]);

  return [...new Set([...mapped, ...Object.keys(require.cache), '/etc/ld.so.cache'])];
}

function tell(why) {
  const line = String(why).replace(/\s+/g, ' ').slice(0, 300);

  process.stdout.write([process.execPath, process.versions.node, line ? 'single' : 'fork', line,
    ...(line ? [] : files()), ''].join('\n'), () => process.reallyExit(0));
}

/* Module with one function that adds. */
const WASM = Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex');

const checks = {
  timers: () => new Promise((resolve) => setTimeout(() => setImmediate(resolve), 1)),
  files: () => require('fs').promises.stat(__filename),
  'the thread pool': () => new Promise((resolve, reject) =>
    require('crypto').pbkdf2('a', 'b', 1, 16, 'sha256', (error) => (error ? reject(error) : resolve()))),
  'random numbers': () => require('crypto').randomUUID(),
  'name look-ups': () => require('dns').promises.lookup('localhost').catch((error) => {
    if (error.code !== 'ENOTFOUND' && error.code !== 'EAI_AGAIN') throw error;
  }),
  'garbage collection': () => {
    const kept = [];
    for (let i = 0; i < 200; i++) kept[i % 20] = new Array(1000).fill({ i });
  },
  WebAssembly: async () => {
    const { instance } = await WebAssembly.instantiate(WASM);
    if (instance.exports.add(2, 3) !== 5) throw new Error('wrong sum');
  },
  fetch: () => new Promise((resolve, reject) => {
    const server = require('http').createServer((req, res) => res.end('answer'));
    server.listen(0, '127.0.0.1', async () => {
      try {
        const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
        if (await response.text() !== 'answer') throw new Error('wrong answer');
        resolve();
      } catch (error) {
        reject(error);
      } finally {
        server.close();
      }
    }).on('error', reject);
  }),
};

async function sing() {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      process._rawDebug(error);
      require('fs').writeSync(1, `${name} failed: ${error && error.message}`);
      addon.exit(1);
    }
  }
  require('fs').writeSync(1, 'well');
  addon.exit(0);
}

function listen(fd) {
  const fs = require('fs');
  const timer = setTimeout(() => tell(`a forked process was silent for ${SECONDS_MAX} s`), SECONDS_MAX * 1000);
  const bytes = Buffer.alloc(1024);
  let said = '';

  const read = () => fs.read(fd, bytes, 0, bytes.length, null, (error, n) => {
    if (!error && n > 0) {
      said += bytes.toString('utf8', 0, n);
      read();
      return;
    }
    clearTimeout(timer);
    tell(said === 'well' ? '' : said || 'a forked process died');
  });
  read();
}

if (process.env.MAYFLY_NODE_FORK === '0') tell('MAYFLY_NODE_FORK=0 says so');
else if (!addon.canary) tell(addon.why || 'mayfly was built without Node-API (apt install libnode-dev, and build it again)');
else {
  fetch; // what is loaded late is loaded ahead of the fork, as in a zygote that has rehearsed
  setImmediate(() => {
    const fd = addon.canary();
    if (fd < 0) sing();
    else listen(fd);
  });
}
