#include "control/envfile.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>

struct parser {
    struct slice text;
    size_t at;
    uint32_t line;
    const char *name;
    struct env_list *own;         /* of this file */
    const struct env_list *known; /* of those before */
    struct error *err;
};

void env_list_deinit(struct env_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        free(list->variables[i]);
    free(list->variables);
    *list = (struct env_list){.n = 0};
}

static int env_list_index(const struct env_list *list, struct slice name)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (strncmp(list->variables[i], name.base, name.len) == 0 &&
            list->variables[i][name.len] == '=')
            return (int)i;
    }
    return -1;
}

const char *env_list_find(const struct env_list *list, struct slice name)
{
    int i = env_list_index(list, name);

    return i < 0 ? NULL : list->variables[i] + name.len + 1;
}

static int env_list_set(struct env_list *list, struct slice name, struct slice value)
{
    int i = env_list_index(list, name);
    char *variable = malloc(name.len + value.len + 2);
    char **more;

    if (!variable)
        return -ENOMEM;
    memcpy(variable, name.base, name.len);
    variable[name.len] = '=';
    if (value.len > 0)
        memcpy(variable + name.len + 1, value.base, value.len);
    variable[name.len + 1 + value.len] = '\0';
    if (i >= 0) {
        free(list->variables[i]);
        list->variables[i] = variable;
        return 0;
    }
    more = list->n == ENVFILE_VARIABLES_MAX
               ? NULL
               : reallocarray(list->variables, (size_t)list->n + 2, sizeof(*more));
    if (!more) {
        free(variable);
        return list->n == ENVFILE_VARIABLES_MAX ? -E2BIG : -ENOMEM;
    }
    list->variables = more;
    more[list->n++] = variable;
    more[list->n] = NULL;
    return 0;
}

int env_list_add(struct env_list *list, struct slice name, struct slice value)
{
    return env_list_find(list, name) ? 0 : env_list_set(list, name, value);
}

/* ---- reading ---- */

static int peek(const struct parser *p)
{
    return p->at < p->text.len ? (unsigned char)p->text.base[p->at] : -1;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r')
        p->at++;
}

static void skip_line(struct parser *p)
{
    while (peek(p) >= 0 && peek(p) != '\n')
        p->at++;
}

static bool is_name_byte(int c, bool first)
{
    return c > 0 && c < 0x80 &&
           (isalpha(c) || c == '_' || (!first && (isdigit(c) || c == '.' || c == '-')));
}

static struct slice name_read(struct parser *p)
{
    size_t from = p->at;

    while (is_name_byte(peek(p), p->at == from))
        p->at++;
    return slice(p->text.base + from, p->at - from);
}

/* "NAME", "{NAME}", "{NAME:-text}" behind a '$', in `text`; what it stands for goes to b. Returns
 * how much of the text that is; 0: it is no variable. */
static size_t expand_one(const struct parser *p, struct slice text, struct buf *b, int *r)
{
    bool braces = text.len > 0 && text.base[0] == '{';
    size_t from = braces, n = from, end;
    const char *value = NULL;
    struct slice instead = SLICE_NULL;
    const char *close;

    while (n < text.len && is_name_byte((unsigned char)text.base[n], n == from) &&
           text.base[n] != '.' && text.base[n] != '-')
        n++;
    if (n == from)
        return 0;
    end = n;
    if (braces) {
        close = memchr(text.base + n, '}', text.len - n);
        if (!close)
            return 0;
        end = (size_t)(close - text.base) + 1;
        if (text.base[n] == ':' && n + 1 < text.len && text.base[n + 1] == '-')
            instead = slice(text.base + n + 2, end - 1 - (n + 2));
        else if (text.base[n] != '}')
            return 0;
    }
    value = env_list_find(p->own, slice(text.base + from, n - from));
    if (!value)
        value = env_list_find(p->known, slice(text.base + from, n - from));
    *r = value && value[0] ? buf_append_str(b, value) : buf_append_slice(b, instead);
    return end;
}

/* Escapes only within double quotes. */
static int expand(const struct parser *p, struct slice text, bool quoted, struct buf *b)
{
    for (size_t i = 0; i < text.len;) {
        char c = text.base[i], next = i + 1 < text.len ? text.base[i + 1] : '\0';
        size_t n = 1;
        int r = 0;

        if (c == '\\' && next == '$') {
            r = buf_append_str(b, "$");
            n = 2;
        } else if (quoted && c == '\\' && next && strchr("nrt\"\\", next)) {
            char plain = next == 'n' ? '\n' : next == 'r' ? '\r' : next == 't' ? '\t' : next;

            r = buf_append(b, &plain, 1);
            n = 2;
        } else if (c == '$' &&
                   (n = expand_one(p, slice(text.base + i + 1, text.len - i - 1), b, &r))) {
            n++;
        } else {
            n = 1;
            r = buf_append(b, &c, 1);
        }
        if (r < 0)
            return r;
        i += n;
    }
    return 0;
}

/* Behind the opening quote; nothing if it is never closed. */
static bool quoted_read(struct parser *p, char quote, struct slice *ret)
{
    size_t i = p->at;

    for (; i < p->text.len && p->text.base[i] != quote; i++) {
        if (quote == '"' && p->text.base[i] == '\\')
            i++;
    }
    if (i >= p->text.len)
        return false;
    *ret = slice(p->text.base + p->at, i - p->at);
    for (size_t k = p->at; k < i; k++)
        p->line += p->text.base[k] == '\n';
    p->at = i + 1;
    return true;
}

/* To the end of the line or a '#' behind a blank, without the blanks around it. */
static struct slice plain_read(struct parser *p)
{
    size_t from = p->at, len;

    while (peek(p) >= 0 && peek(p) != '\n' &&
           !(peek(p) == '#' && (p->at == from || isspace((unsigned char)p->text.base[p->at - 1]))))
        p->at++;
    len = p->at - from;
    while (len > 0 && isspace((unsigned char)p->text.base[from + len - 1]))
        len--;
    return slice(p->text.base + from, len);
}

static int value_read(struct parser *p, struct buf *b)
{
    int c = peek(p);
    struct slice raw;

    if (c == '"' || c == '\'' || c == '`') {
        p->at++;
        if (!quoted_read(p, (char)c, &raw))
            return error_set(p->err, -EINVAL, "%s:%u: the quotes are not closed", p->name, p->line);
        return c == '"' ? expand(p, raw, true, b) : buf_append_slice(b, raw);
    }
    return expand(p, plain_read(p), false, b);
}

static int line_read(struct parser *p)
{
    struct buf b = BUF_INIT(ENVFILE_VALUE_MAX);
    uint32_t line = p->line;
    struct slice name;
    int r;

    skip_blanks(p);
    if (peek(p) == '#' || peek(p) == '\n' || peek(p) < 0)
        return 0;
    name = name_read(p);
    if (slice_eq(name, SLICE_LIT("export")) && (peek(p) == ' ' || peek(p) == '\t')) {
        skip_blanks(p);
        name = name_read(p);
    }
    skip_blanks(p);
    if (name.len == 0 || peek(p) != '=')
        return error_set(p->err, -EINVAL, "%s:%u: is no NAME=value; begin a comment with '#'",
                         p->name, line);
    p->at++;
    skip_blanks(p);
    r = value_read(p, &b);
    if (r == 0 && buf_len(&b) > 0 && memchr(buf_slice(&b).base, '\0', buf_len(&b)))
        r = error_set(p->err, -EINVAL, "%s:%u: has a NUL byte", p->name, line);
    if (r == 0 && slice_starts(name, SLICE_LIT("MAYFLY_")))
        r = error_set(p->err, -EINVAL,
                      "%s:%u: names that begin with MAYFLY_ are mayfly's own; choose another",
                      p->name, line);
    if (r == 0)
        r = env_list_set(p->own, name, buf_slice(&b));
    buf_deinit(&b);
    if (r == -ENOBUFS || r == -E2BIG)
        return error_set(p->err, -E2BIG,
                         "%s:%u: more than %d variables, or a value of more than %d bytes", p->name,
                         line, ENVFILE_VARIABLES_MAX, ENVFILE_VALUE_MAX);
    return r;
}

int envfile_read(struct slice text, const char *name, struct env_list *list, struct error *err)
{
    struct env_list own = {.n = 0};
    struct parser p = {
        .text = text, .line = 1, .name = name, .own = &own, .known = list, .err = err};
    int r = 0;

    if (slice_starts(text, SLICE_LIT("\xef\xbb\xbf")))
        p.at = 3;
    while (p.at < text.len && r == 0) {
        r = line_read(&p);
        skip_line(&p); /* a comment, or what nobody reads behind closing quotes */
        p.at++;
        p.line++;
    }
    for (uint32_t i = 0; i < own.n && r == 0; i++) {
        const char *equals = strchr(own.variables[i], '=');

        r = env_list_add(list, slice(own.variables[i], (size_t)(equals - own.variables[i])),
                         slice_str(equals + 1));
    }
    env_list_deinit(&own);
    if (r == -ENOMEM)
        return error_set(err, r, "%s: out of memory", name);
    return r == -E2BIG && !err->text[0]
               ? error_set(err, r, "%s: more than %d variables", name, ENVFILE_VARIABLES_MAX)
               : r;
}
