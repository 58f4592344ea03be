/* The grammar of path-to-regexp 6.1, with the options that Vercel uses (strict, delimiter '/'):
 *
 *   path  = { char | escape | param | group }
 *   param = [prefix] ( ":" name [ "(" regex ")" ] | "(" regex ")" ) [ "*" | "+" | "?" ]
 *   group = "{" text [ ":" name ] [ "(" regex ")" ] text "}" [ "*" | "+" | "?" ]
 *
 * where prefix is a '/' or '.' right before the parameter: it comes and goes with it. */

#define PCRE2_CODE_UNIT_WIDTH 8

#include "control/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>

#define PATTERN_OPTIONS                                                                            \
    (PCRE2_CASELESS | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_ALLOW_EMPTY_CLASS |   \
     PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP)

struct translation {
    const char *at; /* of the source */
    struct buf *regex;
    struct pattern_keys *keys;
    struct error *err;
    uint32_t n_groups;
    int r; /* the first failure */
};

/* ---- writing ---- */

/* A byte of the path as it is. What a client has to send percent-coded stands so in the pattern. */
static void put_literal(struct translation *t, char c)
{
    unsigned char u = (unsigned char)c;

    if (t->r < 0)
        return;
    if (u <= 0x20 || u >= 0x7f)
        t->r = buf_printf(t->regex, "%%%02X", u);
    else if (strchr(".+*?=^!:${}()[]|/\\", c))
        t->r = buf_printf(t->regex, "\\%c", c);
    else
        t->r = buf_append(t->regex, &c, 1);
}

static void put_text(struct translation *t, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        put_literal(t, text.base[i]);
}

static void put(struct translation *t, const char *s)
{
    t->r = t->r < 0 ? t->r : buf_append_str(t->regex, s);
}

static void put_slice(struct translation *t, struct slice s)
{
    t->r = t->r < 0 ? t->r : buf_append_slice(t->regex, s);
}

struct param {
    struct slice prefix, suffix; /* plain */
    struct slice name;
    struct slice pattern; /* empty: there is none, the braces are a group without a value */
    char modifier;        /* or NUL */
};

static void put_param(struct translation *t, const struct param *p)
{
    const char modifier[2] = {p->modifier, '\0'};
    bool around = p->prefix.len > 0 || p->suffix.len > 0;

    if (p->pattern.len == 0) {
        put(t, "(?:");
        put_text(t, p->prefix);
        put_text(t, p->suffix);
        put(t, ")");
        put(t, modifier);
        return;
    }
    if (around && (p->modifier == '*' || p->modifier == '+')) {
        put(t, "(?:");
        put_text(t, p->prefix);
        put(t, "((?:");
        put_slice(t, p->pattern);
        put(t, ")(?:");
        put_text(t, p->suffix);
        put_text(t, p->prefix);
        put(t, "(?:");
        put_slice(t, p->pattern);
        put(t, "))*)");
        put_text(t, p->suffix);
        put(t, p->modifier == '*' ? ")?" : ")");
        return;
    }
    put(t, around ? "(?:" : "");
    put_text(t, p->prefix);
    put(t, "(");
    put_slice(t, p->pattern);
    put(t, ")");
    put_text(t, p->suffix);
    put(t, around ? ")" : "");
    put(t, modifier);
}

static int key_add(struct translation *t, struct slice name)
{
    uint32_t n = t->keys->n_keys;

    t->n_groups++;
    if (n == PATTERN_KEYS_MAX || name.len > PATTERN_NAME_MAX)
        return error_set(t->err, -EINVAL, "has more than %d parameters, or a name of more than %d",
                         PATTERN_KEYS_MAX, PATTERN_NAME_MAX);
    memcpy(t->keys->keys[n].name, name.base ? name.base : "", name.len);
    t->keys->keys[n].name[name.len] = '\0';
    t->keys->keys[n].group = t->n_groups;
    t->keys->n_keys++;
    return 0;
}

/* ---- reading ---- */

static char modifier_read(struct translation *t)
{
    return *t->at == '*' || *t->at == '+' || *t->at == '?' ? *t->at++ : '\0';
}

static int name_read(struct translation *t, struct slice *ret)
{
    const char *from = t->at + 1;
    size_t n = 0;

    while (isalnum((unsigned char)from[n]) || from[n] == '_')
        n++;
    if (n == 0)
        return error_set(t->err, -EINVAL,
                         "a ':' is not followed by a parameter's name; write "
                         "\"\\\\:\" for the character itself");
    *ret = slice(from, n);
    t->at = from + n;
    return 0;
}

/* "(...)": its inside. A group in it must not capture, for groups are counted. */
static int regex_read(struct translation *t, struct slice *ret)
{
    const char *from = t->at + 1, *p = from;
    unsigned depth = 1;

    if (*p == '?')
        return error_set(t->err, -EINVAL, "the pattern of a parameter cannot begin with '?'");
    for (; *p; p++) {
        if (*p == '\\') {
            if (!p[1])
                break;
            p++;
        } else if (*p == ')' && --depth == 0) {
            break;
        } else if (*p == '(') {
            depth++;
            if (p[1] != '?')
                return error_set(t->err, -EINVAL,
                                 "a group within a parameter's pattern must be (?:...)");
            if (p[2] == '<' && p[3] != '=' && p[3] != '!')
                return error_set(t->err, -EINVAL,
                                 "a group within a parameter's pattern must have no name");
        }
    }
    if (*p != ')')
        return error_set(t->err, -EINVAL, "a '(' is not closed");
    if (p == from)
        return error_set(t->err, -EINVAL, "the pattern between ( and ) is empty");
    *ret = slice(from, (size_t)(p - from));
    t->at = p + 1;
    return 0;
}

/* `:name`, `(regex)` or both, if they stand here. Returns 1 if they do, 0, or -EINVAL. */
static int param_read(struct translation *t, struct param *p)
{
    int r = 0;

    if (*t->at == ':')
        r = name_read(t, &p->name);
    if (r == 0 && *t->at == '(')
        r = regex_read(t, &p->pattern);
    if (r < 0)
        return r;
    if (p->name.len > 0 && p->pattern.len == 0)
        p->pattern = SLICE_LIT("[^\\/]+?");
    return p->pattern.len > 0;
}

/* Plain text within braces, without its escapes, into `room`. */
static struct slice text_read(struct translation *t, char *room)
{
    size_t n = 0;

    while (*t->at && !strchr("{}:(*+?", *t->at)) {
        if (*t->at == '\\' && t->at[1])
            t->at++;
        room[n++] = *t->at++;
    }
    return slice(room, n);
}

static int group_read(struct translation *t)
{
    char before[PATTERN_SOURCE_MAX], after[PATTERN_SOURCE_MAX];
    struct param p = {.name = SLICE_NULL};
    int r;

    t->at++;
    p.prefix = text_read(t, before);
    r = param_read(t, &p);
    if (r < 0)
        return r;
    p.suffix = text_read(t, after);
    if (*t->at != '}')
        return error_set(t->err, -EINVAL, "a '{' is not closed, or holds more than one parameter");
    t->at++;
    p.modifier = modifier_read(t);
    put_param(t, &p);
    return r == 1 ? key_add(t, p.name) : 0;
}

/* A character, or a parameter with the '/' or '.' before it. */
static int piece_read(struct translation *t)
{
    struct param p = {.name = SLICE_NULL};
    bool has_prefix = (*t->at == '/' || *t->at == '.') && (t->at[1] == ':' || t->at[1] == '(');
    int r;

    if (*t->at == '{')
        return group_read(t);
    if (*t->at == '}')
        return error_set(t->err, -EINVAL,
                         "a '}' closes nothing; write \"\\\\}\" for the character");
    if (*t->at == '*' || *t->at == '+' || *t->at == '?')
        return error_set(t->err, -EINVAL,
                         "a '%c' stands behind no parameter; write \"(.*)\" for any text", *t->at);
    if (*t->at == '\\') {
        if (!t->at[1])
            return error_set(t->err, -EINVAL, "ends in a '\\'");
        put_literal(t, t->at[1]);
        t->at += 2;
        return 0;
    }
    if (has_prefix)
        p.prefix = slice(t->at++, 1);
    r = param_read(t, &p);
    if (r < 0)
        return r;
    if (r == 1) {
        p.modifier = modifier_read(t);
        put_param(t, &p);
        return key_add(t, p.name);
    }
    put_literal(t, *t->at++);
    return 0;
}

int pattern_translate(const char *source, struct buf *regex, struct pattern_keys *keys,
                      struct error *err)
{
    struct translation t = {.at = source, .regex = regex, .keys = keys, .err = err};
    int r = 0;

    *keys = (struct pattern_keys){.n_keys = 0};
    if (strlen(source) >= PATTERN_SOURCE_MAX)
        return error_set(err, -EINVAL, "is longer than %d bytes", PATTERN_SOURCE_MAX - 1);
    put(&t, "^");
    while (*t.at && r == 0 && t.r == 0)
        r = piece_read(&t);
    put(&t, "$");
    return r < 0 ? r : t.r;
}

int pattern_check(const char *regex, struct error *err)
{
    PCRE2_UCHAR text[128];
    PCRE2_SIZE offset;
    int error;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)regex, PCRE2_ZERO_TERMINATED, PATTERN_OPTIONS,
                                     &error, &offset, NULL);

    if (!code) {
        (void)pcre2_get_error_message(error, text, sizeof(text));
        return error_set(err, -EINVAL, "is no regular expression: %s", (const char *)text);
    }
    pcre2_code_free(code);
    return 0;
}

/* ---- destinations ---- */

static void named_groups_add(struct pattern_keys *keys, const char *value)
{
    for (const char *p = value; (p = strstr(p, "(?<"));) {
        size_t n = 0;

        for (p += 3; isalnum((unsigned char)p[n]); n++)
            ;
        if (n == 0 || p[n] != '>' || n > PATTERN_NAME_MAX || keys->n_keys == PATTERN_KEYS_MAX)
            continue;
        memcpy(keys->keys[keys->n_keys].name, p, n);
        keys->keys[keys->n_keys].name[n] = '\0';
        keys->keys[keys->n_keys++].group = 0;
    }
}

void pattern_keys_add_condition(struct pattern_keys *keys, const char *key, const char *value,
                                bool is_host)
{
    const char *name = is_host ? "host" : value ? NULL : key;

    if (value)
        named_groups_add(keys, value);
    if (!name || strlen(name) > PATTERN_NAME_MAX || keys->n_keys == PATTERN_KEYS_MAX)
        return;
    (void)snprintf(keys->keys[keys->n_keys].name, sizeof(keys->keys[0].name), "%s", name);
    keys->keys[keys->n_keys++].group = 0;
}

/* The last of that name: a condition's comes before the source's. Or -1. */
static int key_find(const struct pattern_keys *keys, struct slice name)
{
    for (uint32_t i = keys->n_keys; i-- > 0;) {
        if (keys->keys[i].name[0] && slice_eq(slice_str(keys->keys[i].name), name))
            return (int)i;
    }
    return -1;
}

static int put_variable(struct buf *b, const struct pattern_keys *keys, uint32_t i)
{
    return keys->keys[i].group > 0 ? buf_printf(b, "${%u}", keys->keys[i].group)
                                   : buf_printf(b, "${%s}", keys->keys[i].name);
}

/* Behind a parameter of a destination: "(...)" and a modifier say nothing more. */
static const char *decoration_skip(const char *p)
{
    if (*p == '(') {
        const char *end = strchr(p, ')');

        p = end ? end + 1 : p;
    }
    return *p == '*' || *p == '+' ? p + 1 : *p == '?' && !strchr(p + 1, '=') ? p + 1 : p;
}

static bool query_has(const char *destination, const char *name)
{
    const char *p = strchr(destination, '?');
    size_t n = strlen(name);

    for (; p && *p && *p != '#'; p = strchr(p, '&')) {
        p++;
        if (strncmp(p, name, n) == 0 && (p[n] == '=' || p[n] == '&' || !p[n]))
            return true;
    }
    return false;
}

static int put_query(const char *destination, const struct pattern_keys *keys, struct buf *b)
{
    bool first = !strchr(destination, '?');
    int r = 0;

    for (uint32_t i = 0; i < keys->n_keys && r == 0; i++) {
        const char *name = keys->keys[i].name;

        if (!name[0] || query_has(destination, name) || key_find(keys, slice_str(name)) != (int)i)
            continue;
        r = buf_printf(b, "%c%s=", first ? '?' : '&', name);
        r = r < 0 ? r : put_variable(b, keys, i);
        first = false;
    }
    return r;
}

int pattern_destination(const char *destination, const struct pattern_keys *keys, bool query,
                        struct buf *b)
{
    bool in_query = false, used = false;
    const char *hash = NULL;
    int r = 0;

    for (const char *p = destination; *p && r == 0;) {
        size_t n = 0;
        int key = -1;

        if (*p == ':') {
            while (isalnum((unsigned char)p[n + 1]) || p[n + 1] == '_')
                n++;
            key = key_find(keys, slice(p + 1, n));
        }
        if (key >= 0) {
            r = put_variable(b, keys, (uint32_t)key);
            used = used || !in_query;
            p = decoration_skip(p + 1 + n);
            continue;
        }
        if (*p == '\\' && p[1])
            p++;
        in_query = in_query || *p == '?';
        hash = *p == '#' ? p : hash;
        r = *p == '$' ? buf_append_str(b, "$$") : buf_append(b, p, 1);
        p++;
    }
    if (r == 0 && query && !used && !hash)
        r = put_query(destination, keys, b);
    return r;
}
