/* Which JavaScript files below api/ are functions, told by looking. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/entry.h"

#include <string.h>

static const struct {
    const char *source;
    const char *name; /* NULL: none */
} cases[] = {
    {"export default (req, res) => res.end();", "default"},
    {"export default async function (req, res) {}", "default"},
    {"module.exports = (req, res) => {};", "default"},
    {"exports = module.exports = f;", "default"},
    {"module.exports = async (event) => {};", "default"},
    {"exports.handler = async (event) => {};", "handler"},
    {"module.exports.handler = async () => {};", "handler"},
    {"export const handler = awslambda.streamifyResponse(f);", "handler"},
    {"export async function handler(event) {}", "handler"},
    {"export function GET(request) {}", "default"},
    {"export const POST = f, x = 1;", "default"},
    {"export async function fetch(request) {}", "default"},
    {"const a = 1; export { a as default };", "default"},
    {"export { x, handler };", "handler"},
    {"export { default } from './other.js';", "default"},
    {"export const { handler } = make();", "handler"},
    {"http.createServer(f).listen(3000);", "default"},
    {"app . listen (port, () => {})", "default"},
    {"exports.handler = f; exports.default = g;", "default"},
    {"export function* handler() {}", "handler"},
    {"#!/usr/bin/env node\nmodule.exports = f;", "default"},
    {"\xef\xbb\xbf"
     "module.exports = f;",
     "default"},
    {"export type Props = {}; export default f;", "default"},
    /* None of them. */
    {"export const helper = 1;", NULL},
    {"export function handlers() {}", NULL},
    {"exports.helper = 1;", NULL},
    {"if (module.exports == 1) {}", NULL},
    {"// module.exports = f;\n", NULL},
    {"/* export default f */", NULL},
    {"const s = 'export default f';", NULL},
    {"const s = \"module.exports = f\";", NULL},
    {"const s = `module.exports = ${1 + `}`} f`;", NULL},
    {"const r = /module.exports = `/; const t = 1;", NULL},
    {"const n = a / b; const m = `${c} / module.exports = x`;", NULL},
    {"listen(3000);", NULL},
    {"server.listener(1);", NULL},
    {"x.export.default = 1", NULL},
    {"", NULL},
    /* Cut at any place. */
    {"export", NULL},
    {"export {", NULL},
    {"exports.", NULL},
    {"`${`${", NULL},
    {"/", NULL},
    {"/[", NULL},
    {"'", NULL},
    {"/*", NULL},
    {"\\", NULL},
};

static void a_module_is_a_function_if_it_exports_one_or_listens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        /* Exactly these bytes on the heap: the sanitizer sees a read behind them. */
        size_t len = strlen(cases[i].source);
        char *source = malloc(len + (len == 0));
        struct slice name = SLICE_NULL;
        bool found;

        memcpy(source, cases[i].source, len);
        found = entry_node(slice(source, len), &name);
        if (found != (cases[i].name != NULL) ||
            (found && !slice_eq(name, slice_str(cases[i].name))))
            fail_msg("%s: found %.*s", cases[i].source, found ? (int)name.len : 0, name.base);
        free(source);
    }
}

static void any_bytes_come_to_an_end(void **state)
{
    static const char signs[] = "export{}`$/'\"\\*.=,()[]\n default";
    char source[64];
    uint32_t n = 1;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct slice name;

        for (size_t i = 0; i < sizeof(source); i++) {
            n = n * 1664525u + 1013904223u;
            source[i] = signs[(n >> 16) % (sizeof(signs) - 1)];
        }
        (void)entry_node(slice(source, sizeof(source)), &name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_is_a_function_if_it_exports_one_or_listens),
        cmocka_unit_test(any_bytes_come_to_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
