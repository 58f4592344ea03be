#pragma once

/* mayfly.json as its author wrote it: checked word by word, every complaint with file and line,
 * but not yet held against the file system. */

#include "model/function.h"
#include "model/route.h"

#define CONFIG_FILE      "mayfly.json"
#define CONFIG_BYTES_MAX (256UL * 1024)
#define CONFIG_ENV_MAX   512
#define CONFIG_LIST_MAX  48 /* places in `network`, and paths in `reads` or `writes` */
#define CONFIG_WORDS_MAX 64 /* of a `command` */

#define CONFIG_PORT_DEFAULT        8080
#define CONFIG_PER_PROCESS_DEFAULT 64

/* What a function may say, and `defaults` for all functions of the file. */
struct config_settings {
    struct limits limits;
    uint64_t limits_given; /* bit i: limit_infos[i] was given */
    int isolation;         /* enum isolation, or -1: not given */
    int secrets_when;      /* enum secrets_when, or -1: not given */
    char **env;            /* NAME=text, NULL-terminated; may mention secrets; or NULL */
    int network;           /* enum network, or -1: not given */
    char **egress;         /* what egress_parse() reads, of NETWORK_LIST; or NULL */
    char **reads;          /* absolute paths; NULL-terminated; or NULL: not given */
    char **writes;
    char **redact; /* names; NULL-terminated; or NULL: not given */
};

/* What is kept of requests, of all functions or of one. */
struct config_records {
    uint64_t keep_us; /* 0: not given, as below */
    uint64_t count;
    uint64_t bytes; /* of all together only */
};

struct config_route {
    char *method; /* or NULL */
    char *pattern;
    char *function; /* name as written, or NULL for a builtin or a route in a function */
    enum builtin builtin;
    uint32_t line;
};

struct config_function {
    char *name;
    char *handler;  /* or NULL: these are the settings of the file below api/ that has this name */
    int runtime;    /* enum runtime, or -1: not given */
    char **command; /* of the runtimes web and provided; NULL-terminated; or NULL */
    bool command_is_line; /* one line for a shell, which is command[0] */
    uint32_t command_line;
    /* What only the runtime web has: */
    uint32_t port;        /* 0: not given */
    uint32_t per_process; /* requests that one process gets at once; 0: not given */
    char *readiness;      /* a path; "tcp": it only has to listen; NULL: not given */
    struct config_settings settings;
    struct config_records records;
    struct config_route *routes;
    uint32_t n_routes;
    uint32_t line;
    uint32_t handler_line;
};

struct config_include {
    char *path;   /* relative, below the file's folder */
    char *prefix; /* "/c", or "" */
    uint32_t line;
};

struct config {
    struct config_settings defaults;
    char *python; /* or NULL */
    uint32_t python_line;
    char *node; /* or NULL */
    uint32_t node_line;
    struct config_records records;
    struct config_function *functions;
    uint32_t n_functions;
    struct config_route *routes;
    uint32_t n_routes;
    struct config_include *includes;
    uint32_t n_includes;
};

/* The configuration of a folder without the file; NULL without memory. */
struct config *config_new(void);
struct config *config_free(struct config *c);

/* `name` is what messages call the file: "mayfly.json", "sub/mayfly.json". Returns 0, or -EINVAL
 * or -ENOMEM with *err. */
int config_parse(struct slice text, const char *name, struct config **ret, struct error *err);

/* Reads the file at `path`. Returns as config_parse() and json_file_load(): -ENOENT if there is
 * none. */
int config_load(const char *path, const char *name, struct config **ret, struct error *err);

/* The keys that an object of the file may have, one after the other; NULL behind the last. What
 * documents them is held against this. */
enum config_object {
    CONFIG_OBJECT_FILE,
    CONFIG_OBJECT_FUNCTION,
    CONFIG_OBJECT_DEFAULTS,
    CONFIG_OBJECT_INCLUDE,
    CONFIG_OBJECT_RECORDS,
    CONFIG_OBJECT_FUNCTION_RECORDS,
    _CONFIG_OBJECT_MAX,
};

const char *config_key(enum config_object object, size_t i);

/* "a number of seconds from 0.01 to 900". Returns dst. */
char *config_limit_range(const struct limit_info *info, char *dst, size_t dst_size);
