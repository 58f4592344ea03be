#pragma once

/* What a folder answers besides its functions: files that are served as they are, and rules (of
 * vercel.json) that are asked before a route is looked for. Plain data: control makes it, the
 * gateway carries it out. */

#include "base/error.h"
#include "base/slice.h"

#define SITES_MAX           64
#define SITE_FILES_MAX      100000
#define SITE_RULES_MAX      8192
#define SITE_CONDITIONS_MAX 16 /* of one rule */
#define SITE_HEADERS_MAX    64 /* of one rule */
#define SITE_CRONS_MAX      100

enum rule_kind {
    RULE_REDIRECT,
    RULE_HEADERS,    /* adds headers to the answer; the rules behind it are asked, too */
    RULE_FILESYSTEM, /* here files and functions of exactly that path come in */
    RULE_REWRITE,
    RULE_ROUTE, /* a row of the older key "routes": any of these in one */
    _RULE_KIND_MAX,
};

enum condition_kind {
    CONDITION_HOST,
    CONDITION_HEADER,
    CONDITION_COOKIE,
    CONDITION_QUERY,
    _CONDITION_KIND_MAX,
};

struct rule_condition {
    enum condition_kind kind;
    bool missing;  /* must not hold */
    char *key;     /* NULL for the host */
    char *pattern; /* of the whole value, PCRE2; NULL: it is there */
};

struct rule_header {
    char *name;
    char *value; /* a template */
};

/* A template is text in which $1 stands for a group of the rule's pattern, $name for a named one of
 * its conditions; ${1} and ${name} where a letter or digit follows, $$ for the sign itself. */
struct rule {
    enum rule_kind kind;
    char *pattern;     /* PCRE2, of the path below the site's prefix */
    char *methods;     /* "GET POST", or NULL for any */
    char *destination; /* a template: a path with a query, or an address; or NULL */
    uint32_t status;   /* 0: none */
    bool proceed;      /* of RULE_ROUTE: the rules behind it are asked, too */
    bool check;        /* of RULE_ROUTE: if nothing is at the destination, they are */
    struct rule_condition *conditions;
    uint32_t n_conditions;
    struct rule_header *headers;
    uint32_t n_headers;
};

enum site_slash {
    SITE_SLASH_KEEP,
    SITE_SLASH_ADD,
    SITE_SLASH_REMOVE,
    _SITE_SLASH_MAX,
};

struct site_cron {
    char *path;
    char *schedule;
};

#define SITE_NO_FUNCTION UINT32_MAX

struct site {
    char *prefix;      /* "" or "/c" */
    uint32_t function; /* index of the one that serves the files; or SITE_NO_FUNCTION */
    bool clean_urls;
    enum site_slash slash;
    /* Paths below the served folder, plain text, in the order of strcmp(); each is in `names`. */
    char **files;
    uint32_t n_files;
    char *names;
    struct rule *rules;
    uint32_t n_rules;
    struct site_cron *crons;
    uint32_t n_crons;
};

void rule_deinit(struct rule *r);
void site_deinit(struct site *s);

/* Finds a file by its path, "css/a.css". Returns the site's own text, or NULL. */
const char *site_file_find(const struct site *s, struct slice path);

/* The site in whose prefix the path lies: the longest; or NULL. Sites are in no order. */
const struct site *site_of_path(const struct site *sites, uint32_t n_sites, struct slice path);
