#!/bin/sh
# A CGI program: headers, an empty line, the body. What it knows of the request is its environment.
echo "Content-Type: text/plain"
echo
env | grep -E '^(REQUEST_METHOD|PATH_INFO|QUERY_STRING|CONTENT_|REMOTE_ADDR|SERVER_|HTTP_|MAYFLY_)' | sort
