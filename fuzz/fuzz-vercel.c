/* What an author's folder says beside mayfly.json: a vercel.json, a .env file, a source of a rule;
 * and what a client says of a file: Range, dates, tags. Whatever vercel.json is accepted becomes a
 * snapshot that is read back, and rules that answer. */

#include "answer.h"
#include "control/envfile.h"
#include "control/pattern.h"
#include "control/vercel.h"
#include "fuzz.h"
#include "gateway/rules.h"

static void check_message(const struct error *err)
{
    FUZZ_CHECK(err->text[0] != '\0');
    for (const char *p = err->text; *p; p++)
        FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* The answer never leads to another host by what a request says. */
static void ask(struct snapshot *s)
{
    struct rules *rules = rules_new(s);
    static const char *const paths[] = {"/", "/a/b", "//evil.example/", "/a%2f..", "/index.html"};

    FUZZ_CHECK(rules);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct http_head head = {.method = SLICE_LIT("GET"),
                                 .path = slice_str(paths[i]),
                                 .target = slice_str(paths[i]),
                                 .query = SLICE_LIT("a=1"),
                                 .host = SLICE_LIT("localhost")};
        struct rules_plan plan;

        if (rules_ask(rules, &head, &plan) == 0) {
            FUZZ_CHECK(plan.outcome != RULES_FILE || plan.file);
            FUZZ_CHECK(plan.outcome != RULES_ANSWER || plan.status >= 100);
            FUZZ_CHECK(!plan.rewritten || buf_slice(&plan.path).base[0] == '/');
            FUZZ_CHECK(!slice_starts(buf_slice(&plan.location), SLICE_LIT("//")));
        }
        rules_plan_deinit(&plan);
    }
    (void)rules_free(rules);
}

static void fuzz_file(struct slice text)
{
    struct buf bytes = BUF_INIT(SNAPSHOT_BYTES_MAX);
    struct error err = ERROR_NULL;
    struct vercel *v = NULL;
    struct snapshot *s = snapshot_new(), *copy = NULL;
    int r = vercel_parse(text, "x", &v, &err);

    FUZZ_CHECK(s);
    if (r < 0) {
        FUZZ_CHECK(!v);
        check_message(&err);
    } else {
        s->sites = calloc(1, sizeof(*s->sites));
        FUZZ_CHECK(s->sites);
        s->n_sites = 1;
        s->sites[0] = (struct site){.prefix = slice_dup(SLICE_LIT("")),
                                    .function = SITE_NO_FUNCTION,
                                    .clean_urls = v->clean_urls,
                                    .slash = v->slash,
                                    .rules = take_ptr(v->rules),
                                    .n_rules = v->n_rules};
        v->n_rules = 0;
        FUZZ_CHECK(snapshot_index(s, NULL) == 0 && snapshot_encode(s, &bytes) == 0);
        FUZZ_CHECK(snapshot_decode(buf_slice(&bytes), &copy) == 0);
        ask(copy);
        (void)snapshot_free(copy);
    }
    (void)vercel_free(v);
    (void)snapshot_free(s);
    buf_deinit(&bytes);
}

static void fuzz_env(struct slice text)
{
    struct env_list list = {.n = 0};
    struct error err = ERROR_NULL;

    if (envfile_read(text, "x", &list, &err) < 0)
        check_message(&err);
    for (uint32_t i = 0; i < list.n; i++)
        FUZZ_CHECK(strchr(list.variables[i], '=') > list.variables[i] &&
                   strncmp(list.variables[i], "MAYFLY_", 7) != 0);
    env_list_deinit(&list);
}

static void fuzz_pattern(struct slice text)
{
    struct buf regex = BUF_INIT(65536), template = BUF_INIT(65536);
    char *source = slice_dup(text);
    struct error err = ERROR_NULL;
    struct pattern_keys keys;

    FUZZ_CHECK(source);
    if (pattern_translate(source, &regex, &keys, &err) == 0 && buf_cstr(&regex)) {
        /* Only what stands between ( and ) can be wrong now. */
        if (pattern_check(buf_cstr(&regex), &err) < 0)
            FUZZ_CHECK(strchr(source, '('));
        (void)pattern_destination(source, &keys, true, &template);
    }
    (void)glob_fits(source, "api/a/b.py");
    buf_deinit(&regex);
    buf_deinit(&template);
    free(source);
}

static void fuzz_answer(struct slice text)
{
    static const char *const names[] = {"range",    "if-range",          "if-none-match",
                                        "if-match", "if-modified-since", "if-unmodified-since"};
    const struct file_facts facts = {.size = 10, .mtime_s = 784111777, .etag = "\"a\""};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct http_head head = {.method = SLICE_LIT("GET"), .n_headers = 1};
        struct file_answer a;

        head.headers[0] = (struct http_header){slice_str(names[i]), text};
        a = file_answer(&head, &facts);
        FUZZ_CHECK(a.from <= 10 && a.length <= 10 - a.from);
        FUZZ_CHECK(a.status != 206 || a.length > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice(data, MIN(size, (size_t)65536));

    fuzz_file(text);
    fuzz_env(text);
    fuzz_pattern(text);
    fuzz_answer(text);
    return 0;
}
