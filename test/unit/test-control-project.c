/* From a folder to what is served: file routing, includes, what is refused and what is only
 * broken, and that a version changes when something that counts does, and only then. */

#include "control/apidir.h"
#include "control/entry.h"
#include "control/project.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PY "def handler(event, context): pass\n"

static char root[PATH_MAX]; /* of one test: root/p is the project, root/lib, root/state */
static struct project_options options;
static char paths[4][PATH_MAX + 16];

static void put(const char *file, const char *content, mode_t mode)
{
    char path[PATH_MAX + 256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, file);
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        (void)mkdir(path, 0755);
        *p = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(content, f);
    (void)fclose(f);
    (void)chmod(path, mode);
}

static void drop(const char *file)
{
    char path[PATH_MAX + 256];

    (void)snprintf(path, sizeof(path), "%s/%s", root, file);
    assert_int_equal(unlink(path), 0);
}

static int folder_setup(void **state)
{
    (void)state;
    (void)strcpy(root, "/tmp/mayfly-test-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    for (size_t i = 0; i < 4; i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", root,
                       (const char *[]){"p", "state", "lib", "x"}[i]);
    put("lib/python/main.py", "", 0644);
    put("lib/exec/mayfly-exec", "", 0755);
    put("lib/web/mayfly-web", "", 0755);
    put("lib/native/mayfly-native-so", "", 0755);
    (void)mkdir(paths[0], 0755);
    options = (struct project_options){
        .dir = paths[0], .state = paths[1], .lib = paths[2], .url = "http://127.0.0.1:8080"};
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static int folder_teardown(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Takes the test's folder out of a message, which then is the same in every run. */
static const char *without_root(const char *text)
{
    static char result[ERROR_TEXT_MAX];
    size_t n = 0;

    while (*text && n < sizeof(result) - 1) {
        if (strncmp(text, root, strlen(root)) == 0)
            text += strlen(root);
        else
            result[n++] = *text++;
    }
    result[n] = '\0';
    return result;
}

static struct snapshot *load(void)
{
    struct error err = ERROR_NULL;
    struct project *p = project_new(&options);
    struct snapshot *s = NULL;

    if (project_load(p, 1, &s, &err) < 0)
        fail_msg("%s", err.text);
    (void)project_free(p);
    return s;
}

static void expect_refused(const char *message)
{
    struct error err = ERROR_NULL;
    struct project *p = project_new(&options);
    struct snapshot *s = NULL;

    assert_true(project_load(p, 1, &s, &err) < 0);
    assert_null(s);
    assert_string_equal(without_root(err.text), message);
    (void)project_free(p);
}

/* "GET /a=f\n..." in the order of the table. */
static void expect_routes(const char *expected)
{
    struct snapshot *s = load();
    char text[4096] = "";
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];

        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s=%s\n", r->method ? r->method : "",
                              r->method ? " " : "", r->pattern,
                              r->builtin ? builtin_name(r->builtin)
                                         : s->functions[r->function].name);
    }
    assert_string_equal(text, expected);
    (void)snapshot_free(s);
}

static void expect_broken(const char *function, const char *message)
{
    struct snapshot *s = load();
    const struct function *f = snapshot_find(s, slice_str(function));

    assert_non_null(f);
    if (message)
        assert_string_equal(f->broken ? without_root(f->broken) : "(is not broken)", message);
    else if (f->broken)
        fail_msg("%s", f->broken);
    (void)snapshot_free(s);
}

static void version_of(const char *function, char dst[static FUNCTION_VERSION_LEN + 1])
{
    struct snapshot *s = load();

    memcpy(dst, snapshot_find(s, slice_str(function))->version, FUNCTION_VERSION_LEN + 1);
    (void)snapshot_free(s);
}

/* ---- file routing ---- */

static void files_below_api_answer_where_they_lie(void **state)
{
    (void)state;
    put("p/api/users.py", PY, 0644);
    put("p/api/x/index.py", "app = object()\n", 0644);
    put("p/api/index.py", "app = object()\n", 0644);
    put("p/api/[team]/[id].py", PY, 0644);
    put("p/api/[team]/index.py", PY, 0644);
    put("p/api/run.sh", "#!/bin/sh\n", 0755);
    put("p/api/tool", "#!/bin/sh\n", 0755);
    put("p/api/old.cgi", "whatever", 0755);
    put("p/api/web.mjs", "export default f;", 0644);
    put("p/api/helper.js", "export const helper = 1;", 0644);
    put("p/api/ready.so", "", 0755);
    /* None of these is a function. */
    put("p/api/helper.py", "x = 1\n", 0644);
    put("p/api/types.d.ts", "", 0644);
    put("p/api/more.d.mts", "export default 1", 0644);
    put("p/api/_lib.py", PY, 0644);
    put("p/api/.hidden.py", PY, 0644);
    put("p/api/_lib/a.py", PY, 0644);
    put("p/api/node_modules/a.js", "", 0644);
    put("p/api/data.json", "{}", 0644);
    put("p/api/notes.txt", "#!/bin/sh\n", 0644);
    put("p/api/exec-but-text.txt", "text", 0755);
    put("p/api/helper.c", "int help(void) { return 0; }\n", 0644);
    expect_routes("/api=api/index\n"
                  "/api/index=api/index\n"
                  "/api/index.py=api/index\n"
                  "/api/old=api/old\n"
                  "/api/old.cgi=api/old\n"
                  "/api/ready=api/ready\n"
                  "/api/ready.so=api/ready\n"
                  "/api/run=api/run\n"
                  "/api/run.sh=api/run\n"
                  "/api/tool=api/tool\n"
                  "/api/users=api/users\n"
                  "/api/users.py=api/users\n"
                  "/api/web=api/web\n"
                  "/api/web.mjs=api/web\n"
                  "/api/x=api/x/index\n"
                  "/api/x/index=api/x/index\n"
                  "/api/x/index.py=api/x/index\n"
                  "/api/[team]=api/[team]/index\n"
                  "/api/[team]/index=api/[team]/index\n"
                  "/api/[team]/index.py=api/[team]/index\n"
                  "/api/[team]/[id]=api/[team]/[id]\n");
}

static const struct {
    const char *source;
    const char *name; /* NULL: no entry */
} pythons[] = {
    {"app = Flask(__name__)\n", "app"},
    {"application=1", "application"},
    {"app: Flask = make()\n", "app"},
    {"app == 1\n", NULL},
    {"app.run()\n", NULL},
    {"application2 = 1\n", NULL},
    {"  app = 1\n", NULL},
    {"if True:\n    app = 1\n", NULL},
    {"# app = 1\n", NULL},
    {"'''\napp = 1\n'''\n", NULL},
    {"x = '''\napp = 1\n'''\napplication = 2\n", "application"},
    {"x = (\napp = 1\n)\n", NULL},
    {"x = '''a''' + \"'\"\napp = 1\n", "app"},
    {"x = 1 + \\\napp = 1\n", NULL},
    {"def app(environ, start_response):\n  pass\n", "app"},
    {"async def app(scope, receive, send):\n  pass\n", "app"},
    {"from flask_app import app\n", "app"},
    {"from . import x, app\n", "app"},
    {"from .pkg.mod import thing as app\n", "app"},
    {"from pkg import app as other\n", NULL},
    {"from pkg import (\n  a,  # first\n  b as application,\n)\n", "application"},
    {"from app import x\n", NULL},
    {"import app\n", NULL},
    {"class handler(BaseHTTPRequestHandler):\n  pass\n", "handler"},
    {"class Handler(BaseHTTPRequestHandler):\n  pass\n", "Handler"},
    {"class HANDLERS:\n  pass\n", NULL},
    {"def handler(event, context):\n  pass\n", "handler"},
    {"def lambda_handler(event, context):\n  pass\n", "lambda_handler"},
    {"handler = Mangum(api)\n", "handler"},
    {"from x import lambda_handler\n", "lambda_handler"},
    {"def handlers(): pass\n", NULL},
    {"class A:\n    def handler(self): pass\n", NULL},
    {"def handler(e, c): pass\napp = 1\n", "app"}, /* Vercel's names come first */
    {"class Handler: pass\napp = 1\n", "Handler"},
    {"\xef\xbb\xbf"
     "app = 1\n",
     "app"},
    {"@route\ndef app(): pass\n", "app"},
    {"", NULL},
    {"app", NULL},
    {"from", NULL},
    {"from x import (", NULL},
    {"class", NULL},
    {"'", NULL},
    {"\"\"\"", NULL},
    {"x = \\", NULL},
};

static void the_entry_of_a_python_file_is_found_as_vercel_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pythons); i++) {
        /* Exactly these bytes on the heap: the sanitizer sees a read behind them. */
        size_t len = strlen(pythons[i].source);
        char *source = memcpy(malloc(len + 1), pythons[i].source, len);
        struct slice name = SLICE_NULL;
        bool found;

        source = realloc(source, MAX(len, 1));
        found = entry_python(slice(source, len), &name);
        if (found != (pythons[i].name != NULL) ||
            (found && !slice_eq(name, slice_str(pythons[i].name))))
            fail_msg("%s: found %.*s", pythons[i].source, SLICE_ARG(name));
        free(source);
    }
    {
        struct slice name;

        assert_false(entry_python(SLICE_LIT("from x\0 import app\n"), &name));
    }
}

static void the_entry_of_a_c_file_is_a_function_at_its_top_level(void **state)
{
    static const struct {
        const char *source;
        bool found;
    } cases[] = {
        {"int handler(mayfly_request *q, mayfly_response *r)\n{\n}\n", true},
        {"int\nhandler (void) {}", true},
        {"int handlers(void) {}", false},
        {"int my_handler(void) {}", false},
        {"/* handler( */ int x;", false},
        {"// handler(\nint x;", false},
        {"char *s = \"handler(\";", false},
        {"void f(void) { handler(); }", false},
        {"int handler;", false},
        {"/*", false},
        {"\"", false},
        {"'\\", false},
    };
    struct slice name;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(entry_c(slice_str(cases[i].source), &name), cases[i].found);
}

/* ---- what is refused ---- */

static void an_empty_folder_is_told_how_to_begin(void **state)
{
    (void)state;
    expect_refused("/p: there is no mayfly.json here, no function below api/, no application such "
                   "as app.py or server.js and no file below public/; `mayfly init` makes a first "
                   "function");
    put("p/mayfly.json", "{}", 0644);
    expect_refused("mayfly.json: declares no function; add one to \"functions\" or below api/");
}

static void two_files_for_one_route_are_refused_by_both_names(void **state)
{
    (void)state;
    put("p/api/a.py", PY, 0644);
    put("p/api/a/index.py", PY, 0644);
    expect_refused("api/a/index.py: route \"/api/a\" claims the same requests as \"/api/a\" of "
                   "api/a.py; change one of them");
    drop("p/api/a/index.py");
    put("p/api/a.cgi", "", 0755);
    expect_refused("api/a.cgi and api/a.py both make a function \"api/a\"; rename one of them");
    drop("p/api/a.cgi");
    put("p/api/[x].py", PY, 0644);
    put("p/api/[y].py", PY, 0644);
    expect_refused("api/[y].py: route \"/api/[y]\" claims the same requests as \"/api/[x]\" of "
                   "api/[x].py; change one of them");
}

static void a_placeholder_twice_in_one_path_is_refused(void **state)
{
    (void)state;
    put("p/api/[id]/x/[id].py", PY, 0644);
    expect_refused("api/[id]/x/[id].py: route \"/api/[id]/x/[id]\": [id] stands there twice; give "
                   "each its own name");
}

static void a_file_whose_name_cannot_be_a_functions_is_refused(void **state)
{
    (void)state;
    put("p/api/a b.py", PY, 0644);
    expect_refused("api/a b.py: the path of a function's file is its name: at most 64 letters, "
                   "digits and \"-_./[]\"; rename it, or begin its name with '_' if it is none");
}

static void a_route_to_nowhere_is_refused(void **state)
{
    (void)state;
    put("p/api/users.py", PY, 0644);
    put("p/mayfly.json", "{\"routes\": {\n\"GET /u\": \"api/user\"}}", 0644);
    expect_refused("mayfly.json:2: route \"GET /u\": there is no function \"api/user\"; did you "
                   "mean \"api/users\"?");
    put("p/mayfly.json", "{\"routes\": {\n\"GET /u\": \"zzzzzzzz\"}}", 0644);
    expect_refused("mayfly.json:2: route \"GET /u\": there is no function \"zzzzzzzz\"");
}

static void settings_without_their_file_are_refused(void **state)
{
    (void)state;
    put("p/mayfly.json", "{\"functions\": {\n\"api/x\": {\"timeout\": 1}}}", 0644);
    expect_refused("mayfly.json:2: functions.api/x: has no \"handler\", and there is no function "
                   "file api/x.* of which these could be the settings");
    put("p/api/x.py", PY, 0644);
    put("p/mayfly.json", "{\"functions\": {\n\"api/x\": {\"handler\": \"a.b\"}}}", 0644);
    expect_refused("mayfly.json:2: functions.api/x: the file api/x.py has that name, too; rename "
                   "one, or leave out \"handler\" to set up the file's function");
}

/* ---- what is only broken ---- */

static void one_bad_function_breaks_only_itself(void **state)
{
    (void)state;
    put("p/good.py", PY, 0644);
    put("p/both.py", PY, 0644);
    put("p/both.js", "", 0644);
    put("p/plain.sh", "#!/bin/sh\n", 0644);
    put("p/mayfly.json",
        "{\"functions\": {\n"
        "\"good\": {\"handler\": \"good.handler\", \"routes\": [\"/good\"]},\n"
        "\"gone\": {\n \"handler\": \"gone.x\"},\n"
        "\"goneso\": {\"handler\": \"gone.x\", \"runtime\": \"native\"},\n"
        "\"noname\": {\"handler\": \"good\"},\n"
        "\"odd\": {\"handler\": \"good.a-b\"},\n"
        "\"both\": {\"handler\": \"both.x\"},\n"
        "\"said\": {\"handler\": \"both.x\", \"runtime\": \"python\"},\n"
        "\"node\": {\"handler\": \"both.x\", \"runtime\": \"node\"},\n"
        "\"web\": {\"command\": [\"no-program-of-this-name\"], \"runtime\": \"web\"},\n"
        "\"prog\": {\"handler\": \"plain.sh\", \"runtime\": \"exec\"},\n"
        "\"abs\": {\"handler\": \"/bin/nothere\"}\n"
        "}}",
        0644);
    expect_broken("good", NULL);
    expect_broken("said", NULL);
    expect_broken("gone", "mayfly.json:4: functions.gone.handler: there is no file /p/gone with "
                          "the ending .py, .c, .so, .mjs, .js, .cjs, .mts, .ts, .cts, .rb, .pl, .pm");
    expect_broken("goneso", "mayfly.json:5: functions.goneso.handler: there is no file /p/gone "
                            "with the ending .c, .so");
    expect_broken("noname", "mayfly.json:6: functions.noname.handler: \"good\" names no function; "
                            "write path/to/file.name, the file without its ending, or a program's "
                            "path");
    expect_broken("odd", "mayfly.json:7: functions.odd.handler: \"a-b\" is no name of a function; "
                         "write the file without its ending, '.', and the name in it");
    expect_broken("both", "mayfly.json:8: functions.both.handler: there are both both.py and "
                          "both.js; say which by \"runtime\"");
    expect_broken("node",
                  "mayfly.json:10: mayfly is not installed completely: /lib/node/mayfly-node is "
                  "missing");
    expect_broken("web", "mayfly.json:11: there is no program \"no-program-of-this-name\" in PATH; "
                         "install it, or name it by its path");
    expect_broken("prog", "mayfly.json:12: functions.prog.handler: /p/plain.sh is not executable; "
                          "run: chmod +x /p/plain.sh");
    expect_broken("abs", "mayfly.json:13: functions.abs.handler: there is no program /bin/nothere");
}

static void a_missing_interpreter_is_named_with_what_wants_it(void **state)
{
    (void)state;
    put("p/api/a.py", PY, 0644);
    put("p/mayfly.json", "{\n\"python\": \"python0.0\"}", 0644);
    expect_broken("api/a",
                  "api/a.py: there is no interpreter \"python0.0\", as mayfly.json:2 wants "
                  "it");
    drop("p/mayfly.json");
    drop("lib/python/main.py");
    expect_broken("api/a",
                  "api/a.py: mayfly is not installed completely: /lib/python/main.py is missing");
}

/* ---- what a function gets ---- */

static const char *env_find(const struct function *f, const char *name)
{
    for (char **e = f->env; *e; e++) {
        if (strncmp(*e, name, strlen(name)) == 0 && (*e)[strlen(name)] == '=')
            return *e + strlen(name) + 1;
    }
    return "(none)";
}

static void settings_of_the_function_go_before_the_defaults(void **state)
{
    struct snapshot *s;
    const struct function *f;

    (void)state;
    put("p/api/a.py", PY, 0644);
    put("p/api/b.py", PY, 0644);
    put("p/mayfly.json",
        "{\"defaults\": {\"timeout\": 5, \"memory\": 64, \"isolation\": \"instance\",\n"
        "  \"env\": {\"X\": \"default\", \"Y\": \"default\"}},\n"
        " \"functions\": {\"api/a\": {\"timeout\": 1, \"routes\": [\"/extra\"],\n"
        "  \"env\": {\"X\": \"own\", \"AWS_LAMBDA_FUNCTION_NAME\": \"mine\"}}}}",
        0644);
    s = load();
    f = snapshot_find(s, SLICE_LIT("api/a"));
    assert_int_equal(f->limits.timeout_ms, 1000);
    assert_int_equal(f->limits.memory_bytes, 64 * MIB);
    assert_int_equal(f->isolation, ISOLATION_INSTANCE);
    assert_string_equal(env_find(f, "X"), "own");
    assert_string_equal(env_find(f, "Y"), "default");
    assert_string_equal(env_find(f, "AWS_LAMBDA_FUNCTION_NAME"), "mine");
    assert_string_equal(env_find(f, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "64");
    assert_string_equal(env_find(f, "AWS_LAMBDA_FUNCTION_VERSION"), f->version);
    assert_string_equal(env_find(f, "MAYFLY_URL"), "http://127.0.0.1:8080");
    assert_string_equal(env_find(f, "MAYFLY_FUNCTION"), "api/a");
    assert_string_equal(f->handler, "api/a.handler");
    assert_string_equal(f->code_dir, paths[0]);
    f = snapshot_find(s, SLICE_LIT("api/b"));
    assert_int_equal(f->limits.timeout_ms, 5000);
    assert_string_equal(env_find(f, "X"), "default");
    assert_string_equal(env_find(f, "AWS_LAMBDA_FUNCTION_NAME"), "api/b");
    (void)snapshot_free(s);
}

static void each_runtime_has_its_command_line(void **state)
{
    struct snapshot *s;

    (void)state;
    put("p/a.py", PY, 0644);
    put("p/venv/bin/python", "#!/bin/sh\necho \"$0\"\n", 0755); /* where it is: what it is asked */
    put("p/b.so", "", 0644);
    put("p/c.pl", "#!/usr/bin/perl\n", 0755);
    put("p/mayfly.json",
        "{\"functions\": {\"a\": {\"handler\": \"a.x\"}, \"b\": {\"handler\": \"b.sym\"},"
        " \"c\": {\"handler\": \"c.pl\"}, \"d\": {\"handler\": \"/bin/sh\"}}}",
        0644);
    s = load();
    assert_int_equal(s->n_functions, 4);
    assert_string_equal(without_root(s->functions[0].argv[0]), "/p/venv/bin/python");
    assert_string_equal(without_root(s->functions[0].argv[1]), "/lib/python/main.py");
    assert_string_equal(without_root(s->functions[1].argv[0]), "/lib/native/mayfly-native-so");
    assert_string_equal(without_root(s->functions[1].argv[1]), "/p/b.so");
    assert_string_equal(s->functions[1].argv[2], "sym");
    assert_string_equal(without_root(s->functions[2].argv[0]), "/lib/exec/mayfly-exec");
    assert_string_equal(without_root(s->functions[2].argv[1]), "/p/c.pl");
    assert_string_equal(s->functions[3].argv[1], "/bin/sh");
    assert_int_equal(s->n_routes, 0);
    (void)snapshot_free(s);
}

/* ---- includes ---- */

static void included_projects_answer_below_their_prefix(void **state)
{
    struct snapshot *s;

    (void)state;
    put("p/api/a.py", PY, 0644);
    put("p/mayfly.json",
        "{\"include\": [{\"path\": \"one\", \"prefix\": \"/1\"}, \"two\"],\n"
        " \"routes\": {\"/count\": \"builtin:request_counter\", \"/other\": \"f\"}}",
        0644);
    put("p/one/f.py", PY, 0644);
    put("p/one/api/a.py", PY, 0644);
    put("p/one/mayfly.json",
        "{\"functions\": {\"f\": {\"handler\": \"f.handler\", \"routes\": [\"/\", \"GET /f\"]}},\n"
        " \"routes\": {\"/count\": \"builtin:request_counter\", \"/again\": \"api/a\"},\n"
        " \"include\": [{\"path\": \"deep\", \"prefix\": \"/d\"}]}",
        0644);
    put("p/one/deep/api/z.py", PY, 0644);
    put("p/two/mayfly.json", "{\"routes\": {\"/two\": \"builtin:active_processes\"}}", 0644);
    expect_routes("/1=f\n"
                  "/1/again=one/api/a\n"
                  "/1/api/a=one/api/a\n"
                  "/1/api/a.py=one/api/a\n"
                  "/1/count=request_counter\n"
                  "/1/d/api/z=one/deep/api/z\n"
                  "/1/d/api/z.py=one/deep/api/z\n"
                  "GET /1/f=f\n"
                  "/api/a=api/a\n"
                  "/api/a.py=api/a\n"
                  "/count=request_counter\n"
                  "/other=f\n"
                  "/two=active_processes\n");
    s = load();
    for (uint32_t i = 0; i < s->n_routes; i++) {
        if (strcmp(s->routes[i].pattern, "/1/count") == 0)
            assert_string_equal(s->routes[i].project, "one");
        if (strcmp(s->routes[i].pattern, "/count") == 0)
            assert_string_equal(s->routes[i].project, "");
    }
    assert_string_equal(snapshot_find(s, SLICE_LIT("f"))->project, "one");
    assert_string_equal(without_root(snapshot_find(s, SLICE_LIT("f"))->code_dir), "/p/one");
    (void)snapshot_free(s);
}

static void what_includes_get_wrong_is_refused(void **state)
{
    (void)state;
    put("p/a.py", PY, 0644);
    put("p/one/a.py", PY, 0644);
    put("p/mayfly.json",
        "{\"include\": [\"one\"],\n"
        " \"functions\": {\"a\": {\"handler\": \"a.handler\", \"routes\": [\"/a\"]}}}",
        0644);
    put("p/one/mayfly.json", "{\"functions\": {\n\"a\": {\"handler\": \"a.handler\"}}}", 0644);
    expect_refused(
        "mayfly.json:2 and one/mayfly.json:2 both make a function \"a\"; rename one of them");
    put("p/one/mayfly.json",
        "{\"functions\": {\n\"b\": {\"handler\": \"a.handler\",\n\"routes\": [\"/a\"]}}}", 0644);
    expect_refused("one/mayfly.json:3: route \"/a\" claims the same requests as \"/a\" of "
                   "mayfly.json:2; change one of them");
    put("p/one/mayfly.json", "{\n\"functons\": {}}", 0644);
    expect_refused("one/mayfly.json:2: unknown key \"functons\"; did you mean \"functions\"?");
    put("p/mayfly.json", "{\"include\": [\"nowhere\"]}", 0644);
    expect_refused("/p/nowhere: there is no such folder");
    put("p/one/mayfly.json", "{\"routes\": {\"/a\": \"builtin:request_counter\"}}", 0644);
    put("p/mayfly.json", "{\"include\": [\"one\",\n\"one\"]}", 0644);
    expect_refused("mayfly.json:2: the folder \"one\" is included already; remove one of them");
}

/* ---- versions ---- */

static void expect_version(const char *what, bool changes, void (*change)(void))
{
    char before[FUNCTION_VERSION_LEN + 1], after[FUNCTION_VERSION_LEN + 1];

    version_of("f", before);
    change();
    version_of("f", after);
    if ((strcmp(before, after) != 0) != changes)
        fail_msg("%s: the version %s", what, changes ? "has not changed" : "has changed");
}

#define CONFIG(settings) "{\"functions\": {\"f\": {\"handler\": \"f.x\" " settings "}"

static void change_nothing(void)
{
}
static void change_times(void)
{
    put("p/f.py", PY, 0644);
}
static void change_content(void)
{
    put("p/f.py", PY "#\n", 0644);
}
static void change_other_file(void)
{
    put("p/lib/data.txt", "data", 0644);
}
static void change_mode(void)
{
    put("p/lib/data.txt", "data", 0755);
}
static void change_ignored(void)
{
    put("p/__pycache__/f.pyc", "x", 0644);
    put("p/.git/HEAD", "x", 0644);
    put("p/f.py~", "x", 0644);
    put("p/node_modules/a/b.js", "x", 0644);
    put("p/env/pyvenv.cfg", "x", 0644);
    put("p/env/lib/x.py", "x", 0644);
}
static void change_layout(void)
{
    put("p/mayfly.json", "\n" CONFIG("") "}\n}\n", 0644);
}
static void change_other_function(void)
{
    put("p/mayfly.json", CONFIG("") ", \"g\": {\"handler\": \"f.y\"}}}", 0644);
}
static void change_limit(void)
{
    put("p/mayfly.json", CONFIG(", \"timeout\": 3") "}}", 0644);
}
static void change_env(void)
{
    put("p/mayfly.json", CONFIG(", \"env\": {\"A\": \"1\"}") "}}", 0644);
}
static void change_env_again(void)
{
    put("p/mayfly.json", CONFIG(", \"env\": {\"A\": \"2\"}") "}}", 0644);
}
static void change_url(void)
{
    options.url = "http://127.0.0.1:9";
}

static void a_version_changes_when_it_must_and_only_then(void **state)
{
    (void)state;
    put("p/f.py", PY, 0644);
    put("p/mayfly.json", CONFIG("") "}}", 0644);
    expect_version("nothing", false, change_nothing);
    expect_version("a file's times", false, change_times);
    expect_version("the handler's file", true, change_content);
    expect_version("a new file", true, change_other_file);
    expect_version("a mode", true, change_mode);
    expect_version("files that do not count", false, change_ignored);
    expect_version("mayfly.json's layout", false, change_layout);
    expect_version("another function", false, change_other_function);
    expect_version("a limit", true, change_limit);
    expect_version("a variable", true, change_env);
    expect_version("a variable's value", true, change_env_again);
    expect_version("the daemon's address", false, change_url);
}

static void a_version_is_the_same_in_another_folder(void **state)
{
    char here[FUNCTION_VERSION_LEN + 1], there[FUNCTION_VERSION_LEN + 1];

    (void)state;
    put("p/f.py", PY, 0644);
    put("p/mayfly.json", CONFIG("") "}}", 0644);
    put("x/f.py", PY, 0644);
    put("x/mayfly.json", CONFIG("") "}}", 0644);
    version_of("f", here);
    options.dir = paths[3];
    version_of("f", there);
    assert_string_equal(here, there);
}

/* The cache must not hide a change: same size, same second. */
static void a_reload_sees_every_change(void **state)
{
    struct project *p = project_new(&options);
    char last[FUNCTION_VERSION_LEN + 1] = "";

    (void)state;
    put("p/mayfly.json", CONFIG("") "}}", 0644);
    for (int i = 0; i < 50; i++) {
        struct error err = ERROR_NULL;
        struct snapshot *s = NULL;
        char text[32];

        (void)snprintf(text, sizeof(text), "x = %02d\n", i);
        put("p/f.py", text, 0644);
        assert_int_equal(project_load(p, 1, &s, &err), 0);
        assert_string_not_equal(s->functions[0].version, last);
        memcpy(last, s->functions[0].version, sizeof(last));
        (void)snapshot_free(s);
    }
    (void)project_free(p);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        CASE(files_below_api_answer_where_they_lie),
        cmocka_unit_test(the_entry_of_a_python_file_is_found_as_vercel_does),
        cmocka_unit_test(the_entry_of_a_c_file_is_a_function_at_its_top_level),
        CASE(an_empty_folder_is_told_how_to_begin),
        CASE(two_files_for_one_route_are_refused_by_both_names),
        CASE(a_placeholder_twice_in_one_path_is_refused),
        CASE(a_file_whose_name_cannot_be_a_functions_is_refused),
        CASE(a_route_to_nowhere_is_refused),
        CASE(settings_without_their_file_are_refused),
        CASE(one_bad_function_breaks_only_itself),
        CASE(a_missing_interpreter_is_named_with_what_wants_it),
        CASE(settings_of_the_function_go_before_the_defaults),
        CASE(each_runtime_has_its_command_line),
        CASE(included_projects_answer_below_their_prefix),
        CASE(what_includes_get_wrong_is_refused),
        CASE(a_version_changes_when_it_must_and_only_then),
        CASE(a_version_is_the_same_in_another_folder),
        CASE(a_reload_sees_every_change),
    };

    return cmocka_run_group_tests_name("control-project", tests, NULL, NULL);
}
