#pragma once

/* Whether a source file holds a function, and by which name: found by looking, without running or
 * parsing it in full. Pure. */

#include "base/slice.h"

/* The name at the top level of a Python module that answers requests. As Vercel does, the first in
 * the source of: an assignment to `app` or `application`, a def, an import or an alias of these
 * names, a class named `handler` in any case. Only without one of them, as AWS Lambda knows it, a
 * `handler` or `lambda_handler` that is assigned, defined or imported. Returns whether there is
 * one, with *ret_name in the source. */
bool entry_python(struct slice source, struct slice *ret_name);

/* The same without what is only Lambda's: `handler` counts as a class alone. */
bool entry_python_app(struct slice source, struct slice *ret_name);

/* A function `handler` at the top level of a C file. */
bool entry_c(struct slice source, struct slice *ret_name);

/* The first at the beginning of a line in a Ruby file of: `Handler = ...`, a class or module
 * `Handler`, `def handler`, `def lambda_handler`. */
bool entry_ruby(struct slice source, struct slice *ret_name);

/* The first at the beginning of a line in a Perl file of: `sub handler`, `sub lambda_handler`. A
 * file without one may be a CGI program. */
bool entry_perl(struct slice source, struct slice *ret_name);

/* What a JavaScript or TypeScript module offers. `default`, the file as a whole, if it has a
 * default export, sets module.exports, exports a method of HTTP (GET, POST ...) or `fetch`, or
 * calls listen() of something; else `handler`, as AWS Lambda knows it, if that is exported. Returns
 * whether it is one of both, with *ret_name constant. */
bool entry_node(struct slice source, struct slice *ret_name);
