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

static void c_comment_skip(struct source *s)
{
    for (s->p += 2; s->p < s->end && !at(s, "*/");)
        s->p++;
    s->p = MIN(s->p + 2, s->end);
}

bool entry_c(struct slice source, struct slice *ret_name)
{
    struct source s = {source.base, source.base + source.len};
    int depth = 0;

    while (s.p < s.end) {
        if (at(&s, "//")) {
            comment_skip(&s);
        } else if (at(&s, "/*")) {
            c_comment_skip(&s);
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

/* ---- JavaScript ---- */

#define JS_TEMPLATES_MAX 16 /* within one another; what is deeper is read as if it were code */

/* Where the text is code: not in a comment, a string, a template's text or a regular expression. */
struct javascript {
    struct source s;
    /* The token that was read last: a word, or a sign, which for a string is its quote. */
    struct slice word;
    char sign;
    int depth; /* of curly brackets */
    int templates[JS_TEMPLATES_MAX]; /* the depth at which the text of each goes on */
    unsigned n_templates;
};

static bool js_is_word(char c)
{
    return is_word(c) || c == '$';
}

/* Behind these a '/' begins a regular expression; behind a value it divides. '}' ends a block more
 * often than an object that is divided. */
static bool js_regex_may_begin(const struct javascript *j)
{
    static const char *const words[] = {"return", "typeof", "case", "in",    "of",   "do",
                                        "else",   "void",   "new",  "throw", "await"};

    if (j->word.len == 0)
        return j->sign != ')' && j->sign != ']' && j->sign != '"' && j->sign != '\'' &&
               j->sign != '`';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (slice_eq(j->word, slice_str(words[i])))
            return true;
    }
    return false;
}

static void js_regex_skip(struct source *s)
{
    struct source r = *s;
    bool in_class = false;

    for (r.p++; r.p < r.end && *r.p != '\n'; r.p++) {
        if (*r.p == '\\' && r.p + 1 < r.end && r.p[1] != '\n')
            r.p++;
        else if (*r.p == '[' || *r.p == ']')
            in_class = *r.p == '[';
        else if (*r.p == '/' && !in_class)
            break;
    }
    s->p = r.p < r.end && *r.p == '/' ? r.p + 1 : s->p + 1; /* not closed: it divides after all */
}

/* Goes to the end of the template's text, or behind the "${" where code begins. */
static void js_template_skip(struct javascript *j)
{
    struct source *s = &j->s;

    for (; s->p < s->end && *s->p != '`'; s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end) {
            s->p++;
        } else if (at(s, "${") && j->n_templates < JS_TEMPLATES_MAX) {
            j->templates[j->n_templates++] = j->depth++;
            s->p += 2;
            return;
        }
    }
    s->p += s->p < s->end;
}

static void js_sign_take(struct javascript *j)
{
    struct source *s = &j->s;
    char c = *s->p;

    if (c == '"' || c == '\'') {
        c_quoted_skip(s);
    } else if (c == '/' && js_regex_may_begin(j)) {
        js_regex_skip(s);
        c = ')'; /* a value */
    } else {
        s->p++;
        j->depth += (c == '{') - (c == '}');
        if (c == '}' && j->n_templates > 0 && j->templates[j->n_templates - 1] == j->depth) {
            j->n_templates--;
            c = '`';
        }
        if (c == '`')
            js_template_skip(j);
    }
    j->word = SLICE_NULL;
    j->sign = c;
}

/* Reads the next token. Returns false at the end, where there is no word and no sign. */
static bool js_next(struct javascript *j)
{
    struct source *s = &j->s;

    for (;;) {
        while (s->p < s->end && (isspace((unsigned char)*s->p) || *s->p == '\0'))
            s->p++;
        if (at(s, "//"))
            comment_skip(s);
        else if (at(s, "/*"))
            c_comment_skip(s);
        else
            break;
    }
    if (s->p < s->end && js_is_word(*s->p)) {
        const char *start = s->p;

        while (s->p < s->end && js_is_word(*s->p))
            s->p++;
        j->word = slice(start, (size_t)(s->p - start));
        j->sign = '\0';
        return true;
    }
    if (s->p < s->end) {
        js_sign_take(j);
        return true;
    }
    j->word = SLICE_NULL;
    j->sign = '\0';
    return false;
}

/* '=', not '==' or '=>' */
static bool js_next_assigns(struct javascript *j)
{
    return js_next(j) && j->sign == '=' && !at(&j->s, "=") && !at(&j->s, ">");
}

static enum entry_rank js_name_rank(struct slice name)
{
    static const char *const names[] = {"default", "fetch", "GET",    "HEAD", "OPTIONS",
                                        "POST",    "PUT",   "DELETE", "PATCH"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_eq(name, slice_str(names[i])))
            return ENTRY_VERCEL;
    }
    return slice_eq(name, SLICE_LIT("handler")) ? ENTRY_LAMBDA : ENTRY_NONE;
}

/* Behind '{': the names of a list such as `{ a, b as c }`, or of a pattern such as `{ a: b }`. The
 * name that is last before ',' or '}' is the one that is bound. */
static enum entry_rank js_list_rank(struct javascript *j)
{
    enum entry_rank best = ENTRY_NONE;
    struct slice name = SLICE_NULL;

    while (js_next(j)) {
        if (j->word.len > 0) {
            name = j->word;
        } else if (j->sign == ',' || j->sign == '}') {
            best = MAX(best, js_name_rank(name));
            if (j->sign == '}')
                break;
        }
    }
    return best;
}

/* Behind `export`. */
static enum entry_rank js_export_rank(struct javascript j)
{
    (void)js_next(&j);
    if (j.sign == '{')
        return js_list_rank(&j);
    if (j.sign == '*' || slice_eq(j.word, SLICE_LIT("default")))
        return ENTRY_VERCEL;
    if (slice_eq(j.word, SLICE_LIT("async")))
        (void)js_next(&j);
    if (!slice_eq(j.word, SLICE_LIT("const")) && !slice_eq(j.word, SLICE_LIT("let")) &&
        !slice_eq(j.word, SLICE_LIT("var")) && !slice_eq(j.word, SLICE_LIT("function")))
        return ENTRY_NONE;
    (void)js_next(&j);
    if (j.sign == '*')
        (void)js_next(&j);
    return j.sign == '{' ? js_list_rank(&j) : js_name_rank(j.word);
}

/* Behind `exports`, of `module` or not. */
static enum entry_rank js_exports_rank(struct javascript j)
{
    struct javascript ahead = j;
    struct slice name;

    if (js_next_assigns(&ahead))
        return ENTRY_VERCEL;
    if (!js_next(&j) || j.sign != '.' || !js_next(&j))
        return ENTRY_NONE;
    name = j.word;
    return js_next_assigns(&j) ? js_name_rank(name) : ENTRY_NONE;
}

bool entry_node(struct slice source, struct slice *ret_name)
{
    struct javascript j = {.s = {source.base, source.base + source.len}, .sign = ';'};
    enum entry_rank best = ENTRY_NONE;
    char before = ';';

    if (at(&j.s, "\xef\xbb\xbf"))
        j.s.p += 3;
    if (at(&j.s, "#!"))
        comment_skip(&j.s);
    for (; best != ENTRY_VERCEL && js_next(&j); before = j.sign) {
        struct javascript ahead = j;
        enum entry_rank rank = ENTRY_NONE;

        if (slice_eq(j.word, SLICE_LIT("export")) && before != '.')
            rank = js_export_rank(j);
        else if (slice_eq(j.word, SLICE_LIT("exports")))
            rank = js_exports_rank(j);
        else if (slice_eq(j.word, SLICE_LIT("listen")) && before == '.' && js_next(&ahead) &&
                 ahead.sign == '(')
            rank = ENTRY_VERCEL;
        best = MAX(best, rank);
    }
    *ret_name = best == ENTRY_LAMBDA ? SLICE_LIT("handler") : SLICE_LIT("default");
    return best != ENTRY_NONE;
}
