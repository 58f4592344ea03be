/* An id begins with the milliseconds of the request's arrival (a UUID of version 7), so the
 * beginning of one is a span of time, and the records of a span are quickly had. */

#include "cli/request-id.h"

#include <string.h>

#define DIGITS      32
#define TIME_DIGITS 12
#define PREFIX_MIN  8
#define PAGES_MAX   20 /* of 1000 records that are looked through */
#define FOUND_MAX   8  /* that are shown, if there is more than one */

/* The digits in lower case. Returns their number, or 0 if that is nothing like an id. */
static size_t digits_of(const char *text, char digits[static DIGITS + 1])
{
    size_t n = 0;

    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;

        if (c == '-')
            continue;
        if (n == DIGITS || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return 0;
        digits[n++] = c;
    }
    digits[n] = '\0';
    return n >= PREFIX_MIN ? n : 0;
}

bool request_id_is_name(const char *text)
{
    char digits[DIGITS + 1];

    return strcmp(text, "last") == 0 || digits_of(text, digits) > 0;
}

enum cli_exit request_id_refuse(const struct cli *cli, const char *text)
{
    return cli_fail(cli, CLI_USAGE, "give at least 8 digits of an id, or \"last\"",
                    "not the id of a request: %s", text);
}

/* The digits with an id's dashes, as far as they go. */
static void with_dashes(const char *digits, char dst[static REQUEST_ID_SIZE])
{
    for (size_t i = 0; digits[i]; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *dst++ = '-';
        *dst++ = digits[i];
    }
    *dst = '\0';
}

/* The milliseconds that an id beginning with these digits may have: the rest filled with `fill`. */
static uint64_t bound_ms(const char *digits, char fill)
{
    char time[TIME_DIGITS + 1];
    size_t n = strlen(digits);

    memset(time, fill, TIME_DIGITS);
    memcpy(time, digits, MIN(n, (size_t)TIME_DIGITS));
    time[TIME_DIGITS] = '\0';
    return strtoull(time, NULL, 16);
}

static enum cli_exit newest(const struct cli *cli, const struct client_peer *peer,
                            char ret[static REQUEST_ID_SIZE])
{
    json_t *answer = NULL;
    enum cli_exit code = api_get(cli, peer, "/api/v1/records?limit=1", &answer);
    const json_t *record = json_array_get(json_object_get(answer, "records"), 0);

    if (code == CLI_OK && !record)
        code = cli_fail(cli, CLI_NOT_FOUND, "call a function first", "there is no record yet");
    else if (code == CLI_OK)
        (void)snprintf(ret, REQUEST_ID_SIZE, "%s", api_string(record, "request_id"));
    json_decref(answer);
    return code;
}

struct search {
    char prefix[REQUEST_ID_SIZE];
    json_t *found; /* records */
    char *cursor;  /* of the next page, or NULL */
};

static enum cli_exit look_at_page(const struct cli *cli, const struct client_peer *peer,
                                  const char *digits, struct search *s)
{
    struct api_target target;
    json_t *answer = NULL, *record;
    enum cli_exit code;
    size_t i;

    api_target_init(&target, "/api/v1/records");
    api_target_add_u64(&target, "since", bound_ms(digits, '0') * 1000);
    api_target_add_u64(&target, "until", (bound_ms(digits, 'f') + 1) * 1000);
    api_target_add_u64(&target, "limit", 1000);
    api_target_add(&target, "cursor", s->cursor);
    code = api_get(cli, peer, api_target_end(&target), &answer);
    s->cursor = NULL;
    if (code != CLI_OK)
        return code;
    json_array_foreach(json_object_get(answer, "records"), i, record)
    {
        if (strncmp(api_string(record, "request_id"), s->prefix, strlen(s->prefix)) == 0)
            (void)json_array_append(s->found, record);
    }
    if (*api_string(answer, "next"))
        s->cursor = cli_printf("%s", api_string(answer, "next"));
    json_decref(answer);
    return CLI_OK;
}

static enum cli_exit choose(const struct cli *cli, const struct search *s,
                            char ret[static REQUEST_ID_SIZE])
{
    size_t n = json_array_size(s->found);

    if (n == 1) {
        (void)snprintf(ret, REQUEST_ID_SIZE, "%s",
                       api_string(json_array_get(s->found, 0), "request_id"));
        return CLI_OK;
    }
    if (n == 0)
        return cli_fail(cli, CLI_NOT_FOUND, "`mayfly records` lists them",
                        "no record of a request whose id begins with %s", s->prefix);
    for (size_t i = 0; i < n && i < FOUND_MAX; i++) {
        const json_t *record = json_array_get(s->found, i);

        cli_note(cli, "%s  %s", api_plain(record, "request_id"), api_plain(record, "function"));
    }
    return cli_fail(cli, CLI_USAGE, "give more of it", "%s%zu ids begin with %s",
                    s->cursor ? "at least " : "", n, s->prefix);
}

enum cli_exit request_id_find(const struct cli *cli, const struct client_peer *peer,
                              const char *text, char ret[static REQUEST_ID_SIZE])
{
    char digits[DIGITS + 1];
    struct search search = {0};
    enum cli_exit code = CLI_OK;

    if (strcmp(text, "last") == 0)
        return newest(cli, peer, ret);
    if (digits_of(text, digits) == 0)
        return request_id_refuse(cli, text);
    if (strlen(digits) == DIGITS) {
        with_dashes(digits, ret);
        return CLI_OK;
    }
    with_dashes(digits, search.prefix);
    search.found = cli_check(json_array());
    for (int i = 0; code == CLI_OK && i < PAGES_MAX && (i == 0 || search.cursor); i++)
        code = look_at_page(cli, peer, digits, &search);
    if (code == CLI_OK)
        code = choose(cli, &search, ret);
    json_decref(search.found);
    return code;
}
