#pragma once

/* What mayfly knows of a function before it runs: plain values, parsed once at the edge (control
 * reads them from a project, the others from a snapshot). Nothing here touches the system. */

#include "base/error.h"
#include "base/pack.h"
#include "base/slice.h"

#define MIB (1024ULL * 1024ULL)

enum runtime {
    RUNTIME_PYTHON,
    RUNTIME_NODE,
    RUNTIME_NATIVE,
    RUNTIME_EXEC,
    RUNTIME_PROVIDED,
    RUNTIME_WEB,
    RUNTIME_RUBY,
    RUNTIME_PHP,
    RUNTIME_PERL,
    RUNTIME_STATIC, /* files of a folder; made by mayfly itself, not named in mayfly.json */
    _RUNTIME_MAX,
};

enum isolation {
    ISOLATION_REQUEST,  /* a worker serves one request */
    ISOLATION_INSTANCE, /* a worker serves many, one at a time */
    _ISOLATION_MAX,
};

/* When the variables that come from secrets are set. */
enum secrets_when {
    SECRETS_REQUEST, /* in the worker, after the fork */
    SECRETS_LOAD,    /* before the code is loaded: for code that wants them when it is imported */
    _SECRETS_MAX,
};

/* What a function can reach. */
enum network {
    NETWORK_HOST, /* what the machine can, but for what no function may */
    NETWORK_NONE, /* nothing but itself */
    NETWORK_LIST, /* the addresses of struct function's egress */
    _NETWORK_MAX,
};

/* Names as in mayfly.json. The lookups return the enum, or -1. */
const char *runtime_name(enum runtime runtime);
int runtime_from_name(struct slice name);
const char *isolation_name(enum isolation isolation);
int isolation_from_name(struct slice name);
const char *network_name(enum network network);
int network_from_name(struct slice name);
int secrets_when_from_name(struct slice name);

enum limit_unit {
    LIMIT_COUNT,
    LIMIT_SECONDS,
    LIMIT_CPUS,
    LIMIT_MEGABYTES,
};

struct limits {
#define LIMIT(field, key, unit, min, max, dflt, text) uint64_t field;
#include "model/limits.tbl.h"
#undef LIMIT
};

struct limit_info {
    const char *key;
    const char *text;
    enum limit_unit unit;
    uint64_t min, max, dflt;
    size_t offset; /* of the uint64_t in struct limits */
};

extern const struct limit_info limit_infos[];
extern const size_t n_limit_infos;

void limits_init(struct limits *limits); /* all at their defaults */

#define FUNCTION_NAME_MAX    64 /* letters, digits, '-', '_', '.', '/', '[', ']' */
#define FUNCTION_VERSION_LEN 16 /* hex digits of the content hash that are kept */

struct function {
    char *name;
    char version[FUNCTION_VERSION_LEN + 1]; /* content hash: code tree and configuration */
    char *project;  /* scope of the builtins: which project (folder) declares it */
    char *handler;  /* as in mayfly.json: path/to/file.name, or a program's path */
    char *code_dir; /* absolute; the zygote's working directory */
    char **argv;    /* what the supervisor executes as zygote; NULL-terminated; argv[0] absolute */
    char **env;     /* NAME=value of the author; NULL-terminated */
    char **secrets; /* NAME=text of the variables that mention secrets by name; NULL-terminated */
    char *broken;   /* why it cannot be started (a compiler's words, a missing tool), or NULL */
    enum runtime runtime;
    enum isolation isolation;
    enum network network;
    enum secrets_when secrets_when;
    /* Rules (model/egress.h), numeric; NULL-terminated. Of NETWORK_LIST all that it may reach; of
     * NETWORK_HOST the resolvers among the addresses that are refused otherwise. */
    char **egress;
    char **reads; /* absolute paths of the host that it may read beside its code; NULL-terminated */
    char **writes; /* and those it may write */
    /* What it reads at another place than the host's: a path of the host and where it is inside
     * (see function_mount_is_valid()), in turn; NULL-terminated. */
    char **mounts;
    char **redact; /* names of headers and fields that are taken out of what is recorded;
                    * NULL-terminated */
    char **about;  /* name=value for people: its interpreter, its dependencies; NULL-terminated */
    struct limits limits;
};

#define FUNCTION_MOUNT_TARGET_MAX 64 /* with NUL */

/* Whether something may be shown there inside: below /var, beside the code. */
bool function_mount_is_valid(const char *target);

/* Frees what the function holds. */
void function_deinit(struct function *f);

/* Also refuses empty, "." and ".." parts between the '/'. */
bool function_name_is_valid(struct slice name);
