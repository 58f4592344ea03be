'use strict';

/* While the function's code is loaded, listen() of an HTTP server opens no port: the server is kept,
 * and is given its requests by the host. Whoever wrote it sees a server that listens. */

const http = require('http');
const https = require('https');
const net = require('net');

const servers = [];
const waiters = [];

let realListen = null;

function isHttpServer(value) {
  return value instanceof http.Server || value instanceof https.Server;
}

/* listen(port[, host][, backlog][, callback]), listen(path...), listen({port, host, path}...) */
function addressOf([first, second]) {
  if (first !== null && typeof first === 'object') return addressOf([first.path === undefined ? first.port : first.path, first.host]);
  if (typeof first === 'string' && !/^\d+$/.test(first)) return first;
  const address = typeof second === 'string' ? second : '0.0.0.0';
  const port = typeof first === 'function' ? 0 : Number(first) || 0;
  return { address, family: net.isIPv6(address) ? 'IPv6' : 'IPv4', port: port || Number(process.env.PORT) || 8080 };
}

function pretend(server, address) {
  const own = (name, value) => Object.defineProperty(server, name, { value, configurable: true, writable: true });

  own('listening', true);
  own('address', () => (server.listening ? address : null));
  own('close', (callback) => {
    const wasListening = server.listening;
    server.listening = false;
    if (typeof callback === 'function')
      process.nextTick(callback, wasListening ? undefined : new Error('Server is not running.'));
    if (wasListening) process.nextTick(() => server.emit('close'));
    return server;
  });
  own('getConnections', (callback) => {
    process.nextTick(callback, null, 0);
    return server;
  });
}

function capture(server, args) {
  const callback = args.find((arg) => typeof arg === 'function');

  if (callback) server.once('listening', callback);
  pretend(server, addressOf(args));
  servers.push(server);
  process.nextTick(() => {
    if (server.listening) server.emit('listening');
    for (const wake of waiters.splice(0)) wake();
  });
  return server;
}

function install() {
  if (realListen) return;
  realListen = net.Server.prototype.listen;
  net.Server.prototype.listen = function listen(...args) {
    return isHttpServer(this) ? capture(this, args) : realListen.apply(this, args);
  };
}

/* What a handler starts, once the code is loaded, is its own. */
function uninstall() {
  if (!realListen) return;
  net.Server.prototype.listen = realListen;
  realListen = null;
}

/* The one that gets the requests: the one on $PORT if there is one, else the first. */
function chosen() {
  const open = servers.filter((server) => server.listening);
  const port = Number(process.env.PORT);
  return open.find((server) => port && server.address().port === port) || open[0] || null;
}

/* Applications may listen a while after their module was loaded. */
function wait(ms) {
  if (chosen()) return Promise.resolve(chosen());
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      resolve(chosen());
    }
    waiters.push(done);
  });
}

module.exports = { chosen, install, isHttpServer, uninstall, wait };
