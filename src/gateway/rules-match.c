/* Patterns of rules, the conditions that go with them, and what templates make of them. */

#include "gateway/rules-internal.h"

#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define STEPS_MAX    20000 /* of one pattern: about a millisecond */
#define HEAP_KIB_MAX 1024

/* As control has checked them (control/pattern.h). A language for JavaScript's patterns. */
#define PATTERN_OPTIONS                                                                            \
    (PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_ALLOW_EMPTY_CLASS |   \
     PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP)

/* ---- compiled ---- */

static pcre2_code *compile(const char *pattern)
{
    int error;
    PCRE2_SIZE offset;

    return pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PATTERN_OPTIONS, &error,
                         &offset, NULL);
}

/* The whole value must fit. */
static pcre2_code *compile_value(const char *pattern)
{
    struct buf b = BUF_INIT(65536);
    pcre2_code *code = NULL;
    const char *text;

    if (buf_printf(&b, "^(?:%s)$", pattern) == 0 && (text = buf_cstr(&b)))
        code = compile(text);
    buf_deinit(&b);
    return code;
}

static int site_compile(const struct site *site, struct compiled **ret)
{
    struct compiled *all = calloc(MAX(site->n_rules, 1), sizeof(*all));

    *ret = all;
    if (!all)
        return -ENOMEM;
    for (uint32_t i = 0; i < site->n_rules; i++) {
        const struct rule *rule = &site->rules[i];

        if (rule->pattern)
            all[i].pattern = compile(rule->pattern);
        if (rule->n_conditions == 0)
            continue;
        all[i].conditions = calloc(rule->n_conditions, sizeof(*all[i].conditions));
        if (!all[i].conditions)
            return -ENOMEM;
        for (uint32_t k = 0; k < rule->n_conditions; k++) {
            if (rule->conditions[k].pattern)
                all[i].conditions[k] = compile_value(rule->conditions[k].pattern);
        }
    }
    return 0;
}

struct rules *rules_new(const struct snapshot *s)
{
    struct rules *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->snapshot = s;
    r->sites = calloc(MAX(s->n_sites, 1), sizeof(*r->sites));
    r->context = pcre2_match_context_create(NULL);
    r->data = pcre2_match_data_create(100, NULL);
    r->side = pcre2_match_data_create(100, NULL);
    if (!r->sites || !r->context || !r->data || !r->side)
        return rules_free(r);
    (void)pcre2_set_match_limit(r->context, STEPS_MAX);
    (void)pcre2_set_depth_limit(r->context, STEPS_MAX);
    (void)pcre2_set_heap_limit(r->context, HEAP_KIB_MAX);
    for (uint32_t i = 0; i < s->n_sites; i++) {
        if (site_compile(&s->sites[i], &r->sites[i]) < 0)
            return rules_free(r);
    }
    return r;
}

static void site_release(const struct site *site, struct compiled *all)
{
    for (uint32_t i = 0; all && i < site->n_rules; i++) {
        pcre2_code_free(all[i].pattern);
        for (uint32_t k = 0; all[i].conditions && k < site->rules[i].n_conditions; k++)
            pcre2_code_free(all[i].conditions[k]);
        free(all[i].conditions);
    }
    free(all);
}

struct rules *rules_free(struct rules *r)
{
    if (!r)
        return NULL;
    for (uint32_t i = 0; r->sites && i < r->snapshot->n_sites; i++)
        site_release(&r->snapshot->sites[i], r->sites[i]);
    free(r->sites);
    pcre2_match_context_free(r->context);
    pcre2_match_data_free(r->data);
    pcre2_match_data_free(r->side);
    free(r);
    return NULL;
}

/* ---- matching ---- */

static bool fits(struct asking *a, const pcre2_code *code, struct slice subject,
                 pcre2_match_data *data)
{
    int r;

    if (!code)
        return false;
    r = pcre2_match(code, (PCRE2_SPTR)(subject.base ? subject.base : ""), subject.len, 0, 0, data,
                    a->rules->context);
    if (r < 0 && r != PCRE2_ERROR_NOMATCH)
        a->too_slow = true;
    return r >= 0;
}

static bool list_has(const char *list, struct slice word)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");

        if (slice_eq(slice(p, n), word))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* The value of `name` in "a=1; b=2" or "a=1&b=2". */
static bool pair_find(struct slice text, char separator, const char *name, struct slice *ret)
{
    size_t name_len = strlen(name);

    while (text.len > 0) {
        const char *end = memchr(text.base, separator, text.len);
        struct slice pair = slice(text.base, end ? (size_t)(end - text.base) : text.len);
        size_t used = pair.len + (end != NULL);

        text = slice(text.base + used, text.len - used);
        while (pair.len > 0 && pair.base[0] == ' ')
            pair = slice(pair.base + 1, pair.len - 1);
        if (pair.len < name_len || memcmp(pair.base, name, name_len) != 0)
            continue;
        if (pair.len == name_len)
            *ret = slice(pair.base + name_len, 0);
        else if (pair.base[name_len] == '=')
            *ret = slice(pair.base + name_len + 1, pair.len - name_len - 1);
        else
            continue;
        return true;
    }
    return false;
}

static struct slice host_name(struct slice host)
{
    const char *colon = host.len > 0 ? memrchr(host.base, ':', host.len) : NULL;

    if (colon && !memchr(colon, ']', host.len - (size_t)(colon - host.base)))
        host.len = (size_t)(colon - host.base);
    return host;
}

/* What the condition looks at, decoded; false: it is not there. */
static bool condition_value(const struct asking *a, const struct rule_condition *c,
                            struct buf *room, struct slice *ret)
{
    struct slice value = SLICE_NULL;
    ssize_t n;

    switch (c->kind) {
    case CONDITION_HOST:
        *ret = host_name(a->head->host);
        return true;
    case CONDITION_HEADER:
        if (strcasecmp(c->key, "host") == 0) {
            *ret = a->head->host;
            return true;
        }
        return http_head_find(a->head, c->key, ret);
    case CONDITION_COOKIE:
        for (uint32_t i = 0; i < a->head->n_headers; i++) {
            const struct http_header *h = &a->head->headers[i];

            if (slice_eq_nocase(h->name, SLICE_LIT("cookie")) &&
                pair_find(h->value, ';', c->key, ret))
                return true;
        }
        return false;
    case CONDITION_QUERY:
        if (!pair_find(a->head->query, '&', c->key, &value))
            return false;
        if (buf_reserve(room, value.len + 1) < 0)
            return false;
        n = http_percent_decode(value, true, buf_tail(room), value.len);
        *ret = n < 0 ? value : slice(buf_tail(room), (size_t)n);
        return true;
    case _CONDITION_KIND_MAX:
        break;
    }
    return false;
}

static bool condition_holds(struct asking *a, uint32_t index)
{
    const struct rule_condition *c = &a->rule->conditions[index];
    _cleanup_(buf_deinit) struct buf room = BUF_INIT(RULES_PATH_MAX);
    struct slice value = SLICE_NULL;
    bool there = condition_value(a, c, &room, &value);

    if (there && c->pattern)
        there = fits(a, a->compiled->conditions[index], value, a->rules->side);
    return there != c->missing;
}

bool rules_fit(struct asking *a)
{
    if (a->rule->methods && !list_has(a->rule->methods, a->head->method))
        return false;
    if (!fits(a, a->compiled->pattern, a->subject, a->rules->data))
        return false;
    for (uint32_t i = 0; i < a->rule->n_conditions; i++) {
        if (!condition_holds(a, i))
            return false;
    }
    return true;
}

/* ---- templates ---- */

/* A value goes into an address: nothing in it may end the part that it stands in. */
static int put_value(struct buf *b, struct slice value, enum rules_where where, bool coded)
{
    if (where == IN_HEADER)
        return buf_append_slice(b, value);
    if (!coded)
        return http_percent_encode(b, value);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.base[i];
        bool bad = c <= 0x20 || c >= 0x7f || memchr("\"<>\\^`{|}#?", c, 11) ||
                   (where == IN_QUERY && memchr("&+=", c, 3));
        int r = bad ? buf_printf(b, "%%%02X", c) : buf_append(b, &value.base[i], 1);

        if (r < 0)
            return r;
    }
    return 0;
}

static int put_group(const struct asking *a, struct buf *b, uint32_t n, enum rules_where where)
{
    PCRE2_SIZE *at = pcre2_get_ovector_pointer(a->rules->data);

    if (n >= pcre2_get_ovector_count(a->rules->data) || at[2 * (size_t)n] == PCRE2_UNSET ||
        at[2 * (size_t)n + 1] < at[2 * (size_t)n])
        return 0;
    return put_value(
        b, slice(a->subject.base + at[2 * (size_t)n], at[2 * (size_t)n + 1] - at[2 * (size_t)n]),
        where, true);
}

static bool named_group(const pcre2_code *code, pcre2_match_data *data, const char *name,
                        struct slice subject, struct slice *ret)
{
    int n = code ? pcre2_substring_number_from_name(code, (PCRE2_SPTR)name) : -1;
    PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);

    if (n < 0 || at[2 * n] == PCRE2_UNSET || at[2 * n + 1] < at[2 * n])
        return false;
    *ret = slice(subject.base + at[2 * n], at[2 * n + 1] - at[2 * n]);
    return true;
}

/* Values of conditions are found again: few rules use them, and nothing needs to be kept so. */
static int put_named(struct asking *a, struct buf *b, const char *name, enum rules_where where)
{
    struct slice found;

    if (named_group(a->compiled->pattern, a->rules->data, name, a->subject, &found))
        return put_value(b, found, where, true);
    for (uint32_t i = 0; i < a->rule->n_conditions; i++) {
        const struct rule_condition *c = &a->rule->conditions[i];
        _cleanup_(buf_deinit) struct buf room = BUF_INIT(RULES_PATH_MAX);
        struct slice value;

        if (c->missing || !condition_value(a, c, &room, &value))
            continue;
        if ((c->kind == CONDITION_HOST && strcmp(name, "host") == 0) ||
            (!c->pattern && c->key && strcasecmp(c->key, name) == 0))
            return put_value(b, value, where, false);
        if (c->pattern && fits(a, a->compiled->conditions[i], value, a->rules->side) &&
            named_group(a->compiled->conditions[i], a->rules->side, name, value, &found))
            return put_value(b, found, where, false);
    }
    return 0;
}

/* Takes "1", "name", "{1}" or "{name}" behind a '$' off the text. Returns how long it is; 0: none.
 */
static size_t variable_read(const char *text, char name[static 64])
{
    bool braces = text[0] == '{';
    const char *p = text + braces;
    size_t n = 0;

    if (isdigit((unsigned char)*p))
        n = strspn(p, "0123456789");
    else
        while (isalnum((unsigned char)p[n]) || p[n] == '_' || (braces && p[n] == '-'))
            n++;
    if (n == 0 || n >= 64 || (braces && p[n] != '}'))
        return 0;
    memcpy(name, p, n);
    name[n] = '\0';
    return n + 2 * (size_t)braces;
}

int rules_expand(struct asking *a, const char *template, enum rules_where where, struct buf *b)
{
    for (const char *p = template; *p;) {
        char name[64];
        uint64_t group;
        size_t n;
        int r;

        if (*p == '?' && where == IN_PATH)
            where = IN_QUERY;
        if (p[0] == '$' && p[1] == '$') {
            r = buf_append_str(b, "$");
            n = 2;
        } else if (p[0] == '$' && (n = variable_read(p + 1, name)) > 0) {
            n++;
            if (parse_u64(slice_str(name), 99, &group) == 0)
                r = put_group(a, b, (uint32_t)group, where);
            else
                r = put_named(a, b, name, where);
        } else {
            n = p[0] == '$' ? 1 : strcspn(p, where == IN_PATH && *p != '?' ? "$?" : "$");
            n = MAX(n, (size_t)1);
            r = buf_append(b, p, n);
        }
        if (r < 0)
            return r;
        p += n;
    }
    return 0;
}
