'use strict';

/* As much of the host as the handler kinds need: one connection on descriptor 3, one request, in a
 * process of its own. Arguments: the module, the symbol, the start message as JSON. */

const http = require('http');
const net = require('net');
const path = require('path');
const { pathToFileURL } = require('url');

const HOST = path.resolve(__dirname, '../../../../runtimes/node/host');
const detect = require(path.join(HOST, 'detect.js'));
const [, , file, symbol, startText] = process.argv;
const start = JSON.parse(startText);

function fail(req, res, error) {
  const is = error !== null && typeof error === 'object';
  const body = JSON.stringify({
    errorType: is ? error.errorType || error.name : typeof error,
    errorMessage: is ? error.message : String(error),
    isHostError: Boolean(is && error.isHostError),
  });
  if (res.headersSent) {
    console.error(`broken off: ${body}`);
    req.socket.destroy();
    return;
  }
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.writeHead(500, { 'Content-Type': 'application/json', 'Mayfly-Error': 'Unhandled' });
  res.end(body);
}

async function main() {
  let choice;
  detect.prepare();
  try {
    choice = await detect.choose(await import(pathToFileURL(file).href), symbol, path.relative(process.cwd(), file));
  } catch (error) {
    console.error(`${error.errorType || error.name}: ${error.message}`);
    process.exit(3);
  }
  const adapter = require(path.join(HOST, 'adapters', choice.kind)).create(choice.handler, start);
  if (adapter.touch) adapter.touch();
  console.error(`kind ${choice.kind}`);
  const serve = async (req, res) => {
    try {
      await adapter.handle(req, res);
    } catch (error) {
      fail(req, res, error);
    }
    /* One request, then the end; with its last bytes on their way. */
    req.socket.destroyed ? process.exit() : req.socket.end(() => process.exit());
  };
  const server = http.createServer((req, res) => serve(req, res));
  if (adapter.upgrade) server.on('upgrade', adapter.upgrade);
  process.on('uncaughtException', (error) => {
    console.error('uncaught', error);
    process.exit(1);
  });
  server.emit('connection', new net.Socket({ fd: 3, readable: true, writable: true }));
}

main();
