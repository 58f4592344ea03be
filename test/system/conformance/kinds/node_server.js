'use strict';
// An http.Server that listens, by itself on $PORT or caught by the runtime.
const http = require('node:http');
const probe = require('./probe.js');

http.createServer((req, res) => {
  probe.serveNode(req, res).catch((error) => {
    console.error(error);
    if (!res.headersSent) res.statusCode = 500;
    res.end(String(error.stack));
  });
}).listen(process.env.PORT ?? 3000);
