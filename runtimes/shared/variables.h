#pragma once

/* The request as CGI's variables, which Rack, PSGI and PHP's $_SERVER all begin with:
 * REQUEST_METHOD, REQUEST_URI, PATH_INFO, QUERY_STRING, SERVER_NAME, SERVER_PORT, SERVER_PROTOCOL,
 * SERVER_SOFTWARE, SCRIPT_NAME, REMOTE_ADDR, CONTENT_TYPE, CONTENT_LENGTH and HTTP_<NAME>. */

#include "http/http.h"

/* Called once for each variable; both are valid during the call only. Returns 0 or what ends it. */
typedef int variable_add(void *ctx, struct slice name, struct slice value);

/* decode_path: PATH_INFO is decoded, as CGI wants it. A header that comes several times is
 * joined by ", " (Cookie by "; "); one with '_' in its name is left out, as it could pass for
 * another one with '-'; and so are Proxy (httpoxy) and the framing. Returns 0, what `add` returned,
 * or -ENOMEM. */
int variables_each(const struct http_head *head, bool decode_path, variable_add *add, void *ctx);
