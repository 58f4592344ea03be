/* Python's statements begin in column 0 unless they stand in a block, a bracket, a string that
 * spans lines, or behind a backslash; so it is enough to know these four apart. */

#include "control/entry.h"

#include <ctype.h>

struct source {
    const char *p;
    const char *end;
};

enum entry_rank {
    ENTRY_NONE,
    ENTRY_LAMBDA, /* counts when there is nothing better */
    ENTRY_VERCEL,
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool at(const struct source *s, const char *text)
{
    return slice_starts(slice(s->p, (size_t)(s->end - s->p)), slice_str(text));
}

static struct slice word_take(struct source *s)
{
    const char *start = s->p;

    while (s->p < s->end && is_word(*s->p))
        s->p++;
    return slice(start, (size_t)(s->p - start));
}

static void blanks_skip(struct source *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\f'))
        s->p++;
}

static struct slice word_next(struct source *s)
{
    blanks_skip(s);
    return word_take(s);
}

static void comment_skip(struct source *s)
{
    while (s->p < s->end && *s->p != '\n')
        s->p++;
}

/* ---- Python ---- */

static void python_string_skip(struct source *s)
{
    char quote[4] = {*s->p, *s->p, *s->p, '\0'};

    if (!at(s, quote))
        quote[1] = '\0';
    for (s->p += strlen(quote); s->p < s->end && !at(s, quote); s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end)
            s->p++;
        else if (*s->p == '\n' && quote[1] == '\0')
            return; /* not closed: no string after all */
    }
    s->p = MIN(s->p + strlen(quote), s->end);
}

/* Goes behind the end of the statement, which may take several lines. */
static void python_statement_skip(struct source *s)
{
    int depth = 0;

    while (s->p < s->end) {
        char c = *s->p;

        if (c == '#') {
            comment_skip(s);
            continue;
        }
        if (c == '"' || c == '\'') {
            python_string_skip(s);
            continue;
        }
        depth += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
        s->p++;
        if (c == '\\' && s->p < s->end)
            s->p++;
        if (c == '\n' && depth <= 0)
            return;
    }
}

static enum entry_rank python_name_rank(struct slice name)
{
    if (slice_eq(name, SLICE_LIT("app")) || slice_eq(name, SLICE_LIT("application")))
        return ENTRY_VERCEL;
    if (slice_eq(name, SLICE_LIT("handler")) || slice_eq(name, SLICE_LIT("lambda_handler")))
        return ENTRY_LAMBDA;
    return ENTRY_NONE;
}

/* Blanks, comments and line ends between the names of an import in brackets. */
static void python_import_blanks_skip(struct source *s)
{
    for (;;) {
        blanks_skip(s);
        if (at(s, "#"))
            comment_skip(s);
        else if (at(s, "\\\n"))
            s->p += 2;
        else if (at(s, "\n") || at(s, "\r") || at(s, "("))
            s->p++;
        else
            return;
    }
}

/* `from x import (a as b, c)`: the name that is best of those bound. */
static enum entry_rank python_import_rank(struct source s, struct slice *ret_name)
{
    enum entry_rank best = ENTRY_NONE;
    bool in_brackets;

    while (s.p < s.end && (is_word(*s.p) || memchr(" \t.", *s.p, 3))) {
        if (slice_eq(word_next(&s), SLICE_LIT("import")))
            break;
        while (s.p < s.end && *s.p == '.')
            s.p++;
    }
    blanks_skip(&s);
    in_brackets = at(&s, "(");
    for (;;) {
        struct source ahead;
        struct slice name;
        enum entry_rank rank;

        if (in_brackets || at(&s, "\\"))
            python_import_blanks_skip(&s);
        name = word_next(&s);
        ahead = s;
        if (slice_eq(word_next(&ahead), SLICE_LIT("as"))) {
            name = word_next(&ahead);
            s = ahead;
        }
        rank = python_name_rank(name);
        if (rank > best) {
            best = rank;
            *ret_name = name;
        }
        if (in_brackets)
            python_import_blanks_skip(&s);
        blanks_skip(&s);
        if (name.len == 0 || !at(&s, ","))
            return best;
        s.p++;
        blanks_skip(&s);
    }
}

/* `a = app = f()`: the best of the names; *ret_name is the first of them. */
static enum entry_rank python_targets_rank(struct source s, struct slice *ret_name)
{
    enum entry_rank best = ENTRY_NONE;
    struct slice name = *ret_name;

    while (name.len > 0 && at(&s, "=") && !at(&s, "==")) {
        enum entry_rank rank = python_name_rank(name);

        if (rank > best) {
            best = rank;
            *ret_name = name;
        }
        s.p++;
        name = word_next(&s);
        blanks_skip(&s);
    }
    return best;
}

static enum entry_rank python_statement_rank(struct source s, struct slice *ret_name)
{
    struct slice word = word_take(&s);

    if (slice_eq(word, SLICE_LIT("from")))
        return python_import_rank(s, ret_name);
    if (slice_eq(word, SLICE_LIT("async")))
        word = word_next(&s);
    if (slice_eq(word, SLICE_LIT("class"))) {
        *ret_name = word_next(&s);
        return slice_eq_nocase(*ret_name, SLICE_LIT("handler")) ? ENTRY_VERCEL : ENTRY_NONE;
    }
    if (slice_eq(word, SLICE_LIT("def"))) {
        *ret_name = word_next(&s);
        return python_name_rank(*ret_name);
    }
    *ret_name = word;
    blanks_skip(&s);
    if (at(&s, ":"))
        return python_name_rank(word);
    return python_targets_rank(s, ret_name);
}

static enum entry_rank python_best(struct slice source, struct slice *ret_name)
{
    struct source s = {source.base, source.base + source.len};
    enum entry_rank best = ENTRY_NONE;

    if (at(&s, "\xef\xbb\xbf"))
        s.p += 3;
    while (s.p < s.end && best != ENTRY_VERCEL) {
        struct slice name = SLICE_NULL;
        enum entry_rank rank = python_statement_rank(s, &name);

        if (rank > best) {
            best = rank;
            *ret_name = name;
        }
        python_statement_skip(&s);
    }
    return best;
}

bool entry_python(struct slice source, struct slice *ret_name)
{
    return python_best(source, ret_name) != ENTRY_NONE;
}

bool entry_python_app(struct slice source, struct slice *ret_name)
{
    return python_best(source, ret_name) == ENTRY_VERCEL;
}

/* ---- C ---- */

static void c_quoted_skip(struct source *s)
{
    char quote = *s->p++;

    while (s->p < s->end && *s->p != quote && *s->p != '\n') {
        if (*s->p == '\\' && s->p + 1 < s->end)
            s->p++;
        s->p++;
    }
    s->p += s->p < s->end;
}

bool entry_c(struct slice source, struct slice *ret_name)
{
    struct source s = {source.base, source.base + source.len};
    int depth = 0;

    while (s.p < s.end) {
        if (at(&s, "//")) {
            comment_skip(&s);
        } else if (at(&s, "/*")) {
            for (s.p += 2; s.p < s.end && !at(&s, "*/");)
                s.p++;
            s.p = MIN(s.p + 2, s.end);
        } else if (*s.p == '"' || *s.p == '\'') {
            c_quoted_skip(&s);
        } else if (is_word(*s.p)) {
            struct slice word = word_take(&s);

            while (s.p < s.end && isspace((unsigned char)*s.p))
                s.p++;
            if (depth == 0 && slice_eq(word, SLICE_LIT("handler")) && at(&s, "(")) {
                *ret_name = word;
                return true;
            }
        } else {
            depth += (*s.p == '{') - (*s.p == '}');
            s.p++;
        }
    }
    return false;
}
