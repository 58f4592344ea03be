#pragma once

/* What rules.c (the walk) and rules-match.c (patterns and templates) share. */

#define PCRE2_CODE_UNIT_WIDTH 8

#include "gateway/rules.h"

#include <pcre2.h>

#define RULES_PATH_MAX 16384
#define RULES_TEXT_MAX 16384 /* of a location, of added queries, of added headers */

struct compiled {
    pcre2_code *pattern;
    pcre2_code **conditions; /* NULL where there is none */
};

struct rules {
    const struct snapshot *snapshot;
    struct compiled **sites; /* for each its rules */
    pcre2_match_context *context;
    pcre2_match_data *data; /* of the rule */
    pcre2_match_data *side; /* of its conditions */
};

struct asking {
    const struct rules *rules;
    const struct site *site;
    const struct http_head *head;
    struct rules_plan *plan;
    struct slice subject; /* the path below the prefix */
    const struct rule *rule;
    const struct compiled *compiled;
    bool too_slow;
};

/* Whether the request is one for a->rule: method, path, conditions. */
bool rules_fit(struct asking *a);

enum rules_where {
    IN_PATH,
    IN_QUERY,
    IN_HEADER,
};

/* Adds what the template says of the request that a->rule has just fitted. Returns 0 or -errno. */
int rules_expand(struct asking *a, const char *template, enum rules_where where, struct buf *b);
