/* What control reads and writes, without the file system. A text is a mayfly.json, and a source in
 * Python and in C; bytes that begin like a snapshot are one. Whatever is accepted keeps the rules
 * that others rely on, and no message carries a byte that a terminal would obey. */

#include "control/config.h"
#include "control/entry.h"
#include "fuzz.h"
#include "model/record.h"
#include "model/snapshot.h"
#include "json/cut.h"
#include "json/text.h"
#include "json/writer.h"

static void check_message(const struct error *err)
{
    FUZZ_CHECK(err->text[0] != '\0');
    for (const char *p = err->text; *p; p++)
        FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_route(const struct config_route *route)
{
    struct slice method, pattern;

    FUZZ_CHECK(route_parse(slice_str(route->pattern), &method, &pattern, NULL) == 0);
    FUZZ_CHECK(method.len == 0 && route->line > 0);
}

static void check_settings(const struct config_settings *s)
{
    for (size_t i = 0; i < n_limit_infos; i++) {
        uint64_t v;

        memcpy(&v, (const char *)&s->limits + limit_infos[i].offset, sizeof(v));
        FUZZ_CHECK(!(s->limits_given & 1ULL << i) ||
                   (v >= limit_infos[i].min && v <= limit_infos[i].max));
    }
    for (char **e = s->env; e && *e; e++)
        FUZZ_CHECK(strchr(*e, '=') > *e && strncmp(*e, "MAYFLY_", 7) != 0);
}

static void fuzz_config(struct slice text)
{
    struct error err = ERROR_NULL;
    struct config *c = NULL;

    if (config_parse(text, "x", &c, &err) < 0) {
        FUZZ_CHECK(!c);
        check_message(&err);
        return;
    }
    check_settings(&c->defaults);
    for (uint32_t i = 0; i < c->n_functions; i++) {
        FUZZ_CHECK(function_name_is_valid(slice_str(c->functions[i].name)));
        check_settings(&c->functions[i].settings);
        for (uint32_t k = 0; k < c->functions[i].n_routes; k++)
            check_route(&c->functions[i].routes[k]);
    }
    for (uint32_t i = 0; i < c->n_routes; i++)
        check_route(&c->routes[i]);
    (void)config_free(c);
}

/* Its first three items are found in lines that go up. */
static void fuzz_locate(struct slice text)
{
    struct error err = ERROR_NULL;
    uint32_t line = 1;
    json_t *json;

    if (json_text_load(text, "x", &json, &err) < 0) {
        check_message(&err);
        return;
    }
    for (size_t i = 0; json_is_array(json) && i < MIN(json_array_size(json), (size_t)3); i++) {
        struct json_path path = {.index = i};

        FUZZ_CHECK(json_locate(text, &path) >= line);
        line = json_locate(text, &path);
    }
    json_decref(json);
}

/* Any bytes become a JSON string that others can read. */
static void fuzz_writer(struct slice bytes)
{
    struct buf b = BUF_INIT(6 * bytes.len + 16);
    struct jsonw w = JSONW_INIT(&b);
    json_t *json;

    jsonw_str(&w, bytes);
    FUZZ_CHECK(jsonw_end(&w) == 0);
    json = json_loadb(b.data + b.start, buf_len(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK(json);
    json_decref(json);
    buf_deinit(&b);
}

/* JSON that is cut anywhere, and made to fit anything, is JSON. */
static void fuzz_cut(struct slice text)
{
    json_t *json =
        json_loadb(text.base ? text.base : "", text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool valid = json != NULL;
    uint64_t seed = fuzz_seed(text);

    json_decref(json);
    for (int i = 0; i < 8; i++) {
        size_t len = i == 0 ? text.len : fuzz_next(&seed) % (text.len + 1);
        size_t max = fuzz_next(&seed) % (text.len + 16);
        struct buf b = BUF_INIT(text.len + 64);
        int r = json_cut(slice(text.base, len), max, &b);

        FUZZ_CHECK(r == 0 ? buf_len(&b) > 0 && buf_len(&b) <= max : buf_len(&b) == 0);
        if (valid && r == 0) {
            json =
                json_loadb(b.data + b.start, buf_len(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            FUZZ_CHECK(json);
            json_decref(json);
        }
        buf_deinit(&b);
    }
}

static void fuzz_snapshot(struct slice bytes)
{
    struct buf once = BUF_INIT(SNAPSHOT_BYTES_MAX), twice = BUF_INIT(SNAPSHOT_BYTES_MAX);
    struct snapshot *s = NULL, *t = NULL;
    char allowed[64];

    if (snapshot_decode(bytes, &s) < 0) {
        FUZZ_CHECK(!s);
        return;
    }
    for (uint32_t i = 0; i < s->n_routes; i++) {
        struct route_match m;

        /* A pattern without parameters is a path that it fits. */
        if (!strpbrk(s->routes[i].pattern, "[*"))
            FUZZ_CHECK(route_table_match(&s->table, slice_str(s->routes[i].method),
                                         slice_str(s->routes[i].pattern), &m) == ROUTE_E_OK);
        route_table_allowed(&s->table, slice_str(s->routes[i].pattern), allowed, sizeof(allowed));
    }
    FUZZ_CHECK(snapshot_encode(s, &once) == 0);
    FUZZ_CHECK(snapshot_decode(buf_slice(&once), &t) == 0);
    FUZZ_CHECK(snapshot_encode(t, &twice) == 0);
    FUZZ_CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
    (void)snapshot_free(s);
    (void)snapshot_free(t);
    buf_deinit(&once);
    buf_deinit(&twice);
}

static void fuzz_records(struct slice bytes)
{
    struct log_line line;
    struct record record;
    struct unpack u;

    unpack_init(&u, bytes);
    record_decode(&u, &record);
    FUZZ_CHECK(record.outcome < _OUTCOME_MAX && record.trigger < _TRIGGER_MAX);
    unpack_init(&u, bytes);
    log_line_decode(&u, &line);
    FUZZ_CHECK(line.stream < _LOG_STREAM_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice(data, size), name = SLICE_NULL;

    if (slice_starts(bytes, SLICE_LIT("MFS1"))) {
        fuzz_snapshot(bytes);
        fuzz_records(bytes);
        return 0;
    }
    fuzz_config(bytes);
    fuzz_locate(bytes);
    fuzz_writer(bytes);
    fuzz_cut(bytes);
    if (entry_python(bytes, &name))
        FUZZ_CHECK(name.base >= bytes.base && name.base + name.len <= bytes.base + bytes.len);
    if (entry_c(bytes, &name))
        FUZZ_CHECK(slice_eq(name, SLICE_LIT("handler")));
    return 0;
}
