#!/usr/bin/python3
print('Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{"hello":"mayfly"}')
