#pragma once

/* What a handler names: a file, what is to be called in it, and the runtime that can. One table of
 * file endings serves the handlers of mayfly.json and the files below api/. */

#include "base/error.h"
#include "model/function.h"

enum target_kind {
    TARGET_PYTHON,
    TARGET_SOURCE, /* a C file to be compiled */
    TARGET_SHARED, /* a prebuilt shared object */
    TARGET_NODE,
    TARGET_RUBY,
    TARGET_PHP,
    TARGET_PERL,
    TARGET_EXEC,
    TARGET_WEB,      /* a command that starts an HTTP server */
    TARGET_PROVIDED, /* a program that speaks Lambda's Runtime API */
    TARGET_STATIC,   /* a folder of files */
    _TARGET_MAX,
};

struct target_rule {
    const char *ending;
    enum target_kind kind;
    enum runtime runtime;
    /* Finds what a file below api/ offers; NULL: it offers `symbol`. */
    bool (*find)(struct slice source, struct slice *ret_name);
    const char *symbol;
    bool whole; /* the file is the function, and the handler is its path: no name in it */
};

struct target {
    enum target_kind kind;
    enum runtime runtime;
    /* As the handler wrote it, with its ending: relative to the project or absolute. The program,
     * if the target is a command. */
    char *file;
    char *symbol; /* NULL for exec, for a command, and where the file is the function */
};

void target_deinit(struct target *t);

/* Finds the file of "path/to/file.name", or of a program's path, in the folder. runtime is an enum
 * runtime, or -1: whatever the file is. Returns 0, -ENOMEM, or -ENOENT or -EINVAL with an *err for
 * the author. */
int target_find(const char *dir, const char *handler, int runtime, struct target *ret,
                struct error *err);

/* What a `command` is: its words, NULL-terminated; is_line: one line for a shell. Returns 0,
 * -ENOMEM, or -EINVAL with an *err for the author. */
int target_of_command(char *const *words, bool is_line, enum runtime runtime, struct target *ret);

/* The rule for a file below api/, or NULL if its ending has none or it offers nothing: then it may
 * still be a program. ret_symbol is a new string. */
const struct target_rule *target_rule_find(const char *dir, const char *file, char **ret_symbol);

/* The rule by the file's ending alone, or NULL. */
const struct target_rule *target_rule_of(const char *file);

/* Reads what can be read of a source; an unreadable file offers nothing. */
struct buf;
void target_source_read(const char *path, struct buf *b);

/* "Makes a path": a new string of both with '/' between them; NULL without memory. */
char *path_join(const char *dir, const char *file);

/* Whether it is a file that this process may execute. */
bool path_is_program(const char *path);
bool path_is_file(const char *path);
