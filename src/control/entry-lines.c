/* Ruby and Perl: what a file offers is defined at the beginning of a line, outside of
 * documentation, before the mark that ends the code. */

#include "control/entry.h"

#include <ctype.h>

/* Takes a line off the front, without its end. */
static struct slice line_take(struct slice *rest)
{
    const char *end = memchr(rest->base, '\n', rest->len);
    struct slice line = slice(rest->base, end ? (size_t)(end - rest->base) : rest->len);
    size_t used = line.len + (end ? 1 : 0);

    *rest = slice(rest->base + used, rest->len - used);
    return line;
}

static bool word_is(struct slice line, const char *word, struct slice *ret_behind)
{
    size_t len = strlen(word);

    if (!slice_starts(line, slice(word, len)) ||
        (line.len > len && (isalnum((unsigned char)line.base[len]) || line.base[len] == '_')))
        return false;
    *ret_behind = slice(line.base + len, line.len - len);
    while (ret_behind->len > 0 && isspace((unsigned char)*ret_behind->base)) {
        ret_behind->base++;
        ret_behind->len--;
    }
    return true;
}

/* "def handler" in Ruby, "sub handler" in Perl. */
static bool line_defines(struct slice line, const char *keyword, struct slice *ret_name)
{
    static const char *const names[] = {"handler", "lambda_handler"};
    struct slice behind, rest;

    for (size_t i = 0; word_is(line, keyword, &behind) && i < ARRAY_SIZE(names); i++) {
        if (word_is(behind, names[i], &rest)) {
            *ret_name = slice(behind.base, strlen(names[i]));
            return true;
        }
    }
    return false;
}

static bool ruby_line_offers(struct slice line, struct slice *ret_name)
{
    struct slice behind, rest;

    if (word_is(line, "Handler", &behind) && behind.len > 0 && *behind.base == '=' &&
        !slice_starts(behind, SLICE_LIT("=="))) {
        *ret_name = slice(line.base, 7);
        return true;
    }
    if ((word_is(line, "class", &behind) || word_is(line, "module", &behind)) &&
        word_is(behind, "Handler", &rest)) {
        *ret_name = slice(behind.base, 7);
        return true;
    }
    return line_defines(line, "def", ret_name);
}

bool entry_ruby(struct slice source, struct slice *ret_name)
{
    bool in_comment = false;
    struct slice behind;

    while (source.len > 0) {
        struct slice line = line_take(&source);

        if (word_is(line, "__END__", &behind))
            return false;
        if (word_is(line, "=begin", &behind))
            in_comment = true;
        else if (word_is(line, "=end", &behind))
            in_comment = false;
        else if (!in_comment && ruby_line_offers(line, ret_name))
            return true;
    }
    return false;
}

/* Documentation begins with any "=word" and ends with "=cut". */
bool entry_perl(struct slice source, struct slice *ret_name)
{
    bool in_documentation = false;
    struct slice behind;

    while (source.len > 0) {
        struct slice line = line_take(&source);

        if (word_is(line, "__END__", &behind) || word_is(line, "__DATA__", &behind))
            return false;
        if (line.len > 1 && line.base[0] == '=' && isalpha((unsigned char)line.base[1]))
            in_documentation = !word_is(line, "=cut", &behind);
        else if (!in_documentation && line_defines(line, "sub", ret_name))
            return true;
    }
    return false;
}
