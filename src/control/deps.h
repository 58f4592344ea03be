#pragma once

/* Dependencies: what pip or npm install is installed once for each set of packages, by
 * libexec/mayfly-build (src/builder), and kept as DEPS/KIND-KEY/tree. The key is a hash of all that
 * makes a difference to the result, so a set that is there is right, is shared by all functions and
 * projects, and takes no network. */

#include "control/build.h"
#include "control/tree.h"
#include "model/function.h"

#define DEPS_TIMEOUT_MS (10 * 60 * 1000)
#define DEPS_WORDS_MAX  1500 /* of the package manager's that are kept */
#define DEPS_KEEP_DAYS  30   /* a set that no load has asked for since is removed */
#define DEPS_FORMAT     1    /* raised when what is made of the same inputs changes */
#define DEPS_WORDS      96

#define DEPS_PYTHON_INSIDE "/var/deps/python"
#define DEPS_NODE_INSIDE   "/var/node_modules"

struct load;
struct unit;
struct draft;

struct deps_job {
    struct build_job build;
    char key[48];            /* "python-" and hex digits */
    char *place;             /* DEPS/KEY */
    char *project;           /* whose they are, absolute */
    char *what;              /* "3 Python packages of api/requirements.txt" */
    char *file;              /* the one that says which, as messages call it */
    char *input;             /* the command's stdin, or NULL */
    const char *inside;      /* where the tree is shown to the command */
    char *words[DEPS_WORDS]; /* options for mayfly-build, then "--" and the command; NULL-terminated
                              */
    unsigned n_words;
    bool no_memory;
    int input_fd;
    uint64_t packages;
};

extern const struct build_kind deps_kind;

/* Those that failed, so that they are not tried again with each file that is saved. */
struct deps_failures {
    struct {
        char key[48];
        char *text;
    } list[16];
    unsigned n;
};

void deps_failures_clear(struct deps_failures *f);

/* A new job in the load, or one of the same key that is there. The hash's first bytes are the key.
 * Returns NULL without memory. */
struct deps_job *deps_job_get(struct load *l, const char *kind,
                              const uint8_t hash[static TREE_HASH_SIZE], bool *ret_is_new);
struct deps_job *deps_job_free(struct deps_job *job);

/* Adds a word to the command line of mayfly-build. */
void deps_word(struct deps_job *job, const char *format, ...) _printf_(2, 3);

/* The options that all have: places, environment, settings of the package managers. */
void deps_words_begin(struct load *l, struct deps_job *job);

/* Carries out all of the load. As build_run(). */
int deps_run(struct load *l, const struct build_context *ctx);

/* Shows a part of the result to a function at `target`. Breaks the draft if there is none. Returns
 * 0 or -ENOMEM. */
int deps_finish(struct draft *d, const struct deps_job *job, const char *part, const char *target);

/* Removes sets that nobody has asked for in a long time. */
void deps_prune(const char *deps, const struct load *l);

/* Tells people something of a function. Returns 0 or -ENOMEM. */
int deps_about(struct function *f, const char *format, ...) _printf_(2, 3);

/* ---- deps-python.c ---- */

/* Chooses the unit's interpreter and sets its python_deps, if its files name packages. Sets
 * u->python and u->interpreter, or u->python_broken. Returns 0 or -ENOMEM. */
int deps_python_describe(struct load *l, struct unit *u, const char *python, bool only);

/* Whether one of the files is there that deps_python_describe() reads. */
bool deps_python_wanted(const struct unit *u);

/* What is installed in a virtual environment that the author keeps, by the names there. */
void deps_venv_digest(const char *python, struct digest *digest);

/* ---- deps-node.c ---- */

/* Whether the function is run by Node. */
bool deps_node_wanted(const struct draft *d);

/* Before the builds: asks for what the unit's package-lock.json names, or breaks the draft. After
 * them: shows it. Return 0 or -ENOMEM. */
int deps_node_prepare(struct load *l, struct draft *d);
int deps_node_finish(struct draft *d);

/* What of it makes a difference to the version; node_modules that the author keeps as well. */
void deps_node_digest(const struct draft *d, struct digest *digest);

/* The folder with the packages on the host, for NODE_PATH where there is no root of its own: only
 * require() follows that. NULL if there is none, or without memory; the caller's. */
char *deps_node_path(const struct draft *d);
