/* Which file of a folder is the application that answers everything, and when none is. */

#include "control/entry.h"
#include "control/project.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LAMBDA "def handler(event, context): pass\n"
#define SERVER "require('http').createServer(f).listen(3000)\n"

static char root[PATH_MAX]; /* of one test; root/p is the project */
static struct project_options options;
static char paths[3][PATH_MAX + 16];

static void put(const char *file, const char *content)
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

/* In place of deps.py there is a script that says what a test wants to have been said. */
static int folder_setup(void **state)
{
    (void)state;
    (void)strcpy(root, "/tmp/mayfly-test-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", root,
                       (const char *[]){"p", "state", "lib"}[i]);
    put("lib/python/main.py", "");
    put("lib/python/deps.py", "print('{}')");
    put("p/x", "");
    options = (struct project_options){
        .dir = paths[0], .state = paths[1], .lib = paths[2], .url = "http://127.0.0.1:8080"};
    return 0;
}

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

/* "handler: routes;" of each function, or the error. */
static const char *loaded(void)
{
    static char text[4096];
    struct error err = ERROR_NULL;
    struct project *p = project_new(&options);
    struct snapshot *s = NULL;
    size_t n = 0;

    text[0] = '\0';
    if (project_load(p, 1, &s, &err) < 0)
        (void)snprintf(text, sizeof(text), "%s", without_root(err.text));
    for (uint32_t i = 0; s && i < s->n_functions; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:", s->functions[i].handler);
        for (uint32_t k = 0; k < s->n_routes; k++) {
            if (s->routes[k].function == i)
                n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", s->routes[k].pattern);
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, ";");
    }
    (void)snapshot_free(s);
    (void)project_free(p);
    return text;
}

static void expect(const char *text)
{
    assert_string_equal(loaded(), text);
}

static void expect_nothing(void)
{
    assert_non_null(strstr(loaded(), "there is no mayfly.json here"));
}

static void the_first_file_that_holds_an_application_answers_everything(void **state)
{
    (void)state;
    put("p/app.py", LAMBDA); /* Lambda's names make no application */
    put("p/main.py", "def f(): pass\n");
    expect_nothing();
    put("p/api/x/notes.txt", "");
    put("p/app/asgi.py", "async def app(scope, receive, send): pass\n");
    expect("app/asgi.app: / /*;");
    put("p/src/wsgi.py", "application = make()\n");
    expect("src/wsgi.application: / /*;");
    put("p/asgi.py", "from pkg import app\n");
    expect("asgi.app: / /*;");
    put("p/index.py", "class Handler(BaseHTTPRequestHandler): pass\n");
    expect("index.Handler: / /*;");
    put("p/app.py", "api = app = Flask(__name__)\n");
    expect("app.app: / /*;");
}

static void a_mayfly_json_without_functions_changes_nothing_about_it(void **state)
{
    (void)state;
    put("p/main.py", "app = 1\n");
    put("p/mayfly.json", "{\"functions\": {\"main\": {\"timeout\": 5, \"routes\": [\"GET /m\"]}},"
                         " \"routes\": {\"/active\": \"builtin:active_processes\"}}");
    assert_non_null(strstr(loaded(), "main.app: "));
    put("p/mayfly.json", "{\"functions\": {\"f\": {\"handler\": \"g.f\", \"routes\": [\"/f\"]}}}");
    put("p/g.py", "def f(event, context): pass\n");
    expect("g.f: /f;");
    put("p/mayfly.json",
        "{\"functions\": {\"web\": {\"command\": \"python3 main.py\", \"runtime\": "
        "\"web\", \"routes\": [\"/*\"]}}}");
    assert_null(strstr(loaded(), "main.app"));
    assert_non_null(strstr(loaded(), ": /*;"));
}

static void functions_below_api_go_first_unless_the_framework_is_a_dependency(void **state)
{
    (void)state;
    put("p/api/u.py", LAMBDA);
    put("p/api/index.py", "app = 1\n");
    put("p/app.py", "app = 1\n");
    expect("api/index.app: /api /api/index /api/index.py;api/u.handler: /api/u /api/u.py;");
    put("p/requirements.txt", "Flask>=3  # the framework\n");
    put("lib/python/deps.py", "print('{\"framework\": \"flask\"}')");
    assert_non_null(strstr(loaded(), "app.app: / /*;"));
    assert_null(strstr(loaded(), "/api/u"));
    /* Who sets up one of the files wants them. */
    put("p/mayfly.json", "{\"functions\": {\"api/u\": {\"timeout\": 5}}}");
    assert_non_null(strstr(loaded(), "api/u.handler: /api/u /api/u.py;"));
}

static void pyproject_names_the_application(void **state)
{
    (void)state;
    put("p/app.py", "app = 1\n");
    put("p/back/end.py", "web = 1\n");
    put("p/pyproject.toml", "[tool.vercel]\nentrypoint = 'back.end:web'\n");
    put("lib/python/deps.py", "print('{\"entrypoint\": \"back.end:web\"}')");
    expect("back/end.web: / /*;");
    put("lib/python/deps.py", "print('{\"script\": \"back.end:web\"}')");
    expect("app.app: / /*;"); /* a script comes behind the files */
    put("p/app.py", "");
    expect("back/end.web: / /*;");
    put("lib/python/deps.py", "print('{\"entrypoint\": \"back.end\"}')");
    expect("pyproject.toml: tool.vercel.entrypoint: \"back.end\" names no application; write it as "
           "\"module:variable\", such as \"backend.server:app\"");
    put("lib/python/deps.py", "print('{\"entrypoint\": \"../x:app\"}')");
    expect("pyproject.toml: tool.vercel.entrypoint: \"../x:app\": there is no file of this module "
           "in the project");
}

static void django_is_found_through_its_settings(void **state)
{
    static const char manage[] = "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", '%s')\n";
    char text[128];

    (void)state;
    (void)snprintf(text, sizeof(text), manage, "site.settings");
    put("p/manage.py", text);
    put("p/site/settings.py", "X = 1\nWSGI_APPLICATION = 'site.wsgi.application'\n");
    expect_nothing(); /* the file is not there */
    put("p/site/wsgi.py", "application = 1\n");
    expect("site/wsgi.application: / /*;");
    put("p/site/asgi.py", "application = 1\n");
    put("p/site/settings.py",
        "ASGI_APPLICATION = \"site.asgi.application\"\nWSGI_APPLICATION = 1\n");
    expect("site/asgi.application: / /*;");
    (void)snprintf(text, sizeof(text), manage, "site.settings.local");
    put("p/manage.py", text);
    put("p/site/settings/local.py", "from .base import *\n");
    expect("site/wsgi.application: / /*;");
    (void)snprintf(text, sizeof(text), manage, "../../etc");
    put("p/manage.py", text);
    expect_nothing();
}

static void a_server_of_a_package_json_answers_everything(void **state)
{
    (void)state;
    put("p/server.js", SERVER);
    expect_nothing(); /* a script for browsers, for all that is known */
    put("p/package.json", "{\"main\": \"../x.js\"}");
    assert_non_null(strstr(loaded(), "server.default: / /*;"));
    put("p/package.json", "{\"main\": \"./lib/web.js\"}");
    put("p/lib/web.js", SERVER);
    assert_non_null(strstr(loaded(), "lib/web.default: / /*;"));
    put("p/lib/web.js", "module.exports = 1; /* listeners */");
    put("p/server.js", "");
    expect_nothing();
}

static void two_languages_for_one_folder_are_refused_by_both_names(void **state)
{
    (void)state;
    put("p/app.py", "app = 1\n");
    put("p/package.json", "{}");
    put("p/server.js", SERVER);
    expect("/p: both app.py and server.js could be the application that answers here; say which in "
           "mayfly.json: {\"functions\": {\"app\": {\"handler\": \"app.app\", \"routes\": [\"/\", "
           "\"/*\"]}}}");
    put("p/package.json", "{\"dependencies\": {\"express\": \"5\"}}");
    assert_non_null(strstr(loaded(), "server.default: / /*;"));
}

static void an_application_is_not_only_a_lambda_handler(void **state)
{
    static const struct {
        const char *source, *name;
    } cases[] = {
        {"def handler(event, context): pass\n", NULL},
        {"handler = 1\n", NULL},
        {"from x import handler\n", NULL},
        {"def lambda_handler(e, c): pass\n", NULL},
        {"class handler: pass\n", "handler"},
        {"class HANDLER: pass\n", "HANDLER"},
        {"x = app = 1\n", "app"},
        {"app = application = 1\n", "app"},
        {"x = y = 1\n", NULL},
        {"x = app == 1\n", NULL},
        {"x = app\n", NULL},
        {"app, x = 1, 2\n", NULL},
        {"app += 1\n", NULL},
        {"app: Flask\n", "app"},
        {"x =", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice name;
        bool found = entry_python_app(slice_str(cases[i].source), &name);

        if (found != (cases[i].name != NULL) ||
            (found && !slice_eq(name, slice_str(cases[i].name))))
            fail_msg("%s", cases[i].source);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_first_file_that_holds_an_application_answers_everything),
        CASE(a_mayfly_json_without_functions_changes_nothing_about_it),
        CASE(functions_below_api_go_first_unless_the_framework_is_a_dependency),
        CASE(pyproject_names_the_application),
        CASE(django_is_found_through_its_settings),
        CASE(a_server_of_a_package_json_answers_everything),
        CASE(two_languages_for_one_folder_are_refused_by_both_names),
        cmocka_unit_test(an_application_is_not_only_a_lambda_handler),
    };

    return cmocka_run_group_tests_name("control-framework", tests, NULL, NULL);
}
