// A server that listens. No port is opened: it gets its requests from mayfly.
const http = require('node:http');

http.createServer((req, res) => {
  res.setHeader('Content-Type', 'text/plain');
  res.end(`${req.method} ${req.url}\n`);
}).listen(3000);
