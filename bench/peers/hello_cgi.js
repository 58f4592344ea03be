#!/usr/bin/env node
process.stdout.write('Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{"hello":"mayfly"}\n');
