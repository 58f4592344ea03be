'use strict';
// The same answer from a server of Node's own: a peer by itself, and the program of the runtime web.
const http = require('node:http');

const HELLO = '{"hello":"mayfly"}\n';

http.createServer((req, res) => {
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Content-Length', Buffer.byteLength(HELLO));
  res.end(HELLO);
}).listen(process.env.PORT, '127.0.0.1');
