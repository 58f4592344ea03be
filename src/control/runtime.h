#pragma once

/* What the files of runtime*.c share: how each kind of target becomes a zygote's command line.
 * Internal to them. A kind has a row in runtime.c's table and its functions in runtime-LANGUAGE.c.
 */

#include "control/draft.h"

struct runtime_kind {
    /* Sets d->f.argv and what must be readable, or asks for a build that must come before. Returns
     * 0, with the draft broken if the author has to mend something, or a negative errno. */
    int (*prepare)(struct load *l, struct draft *d);
    int (*finish)(struct draft *d); /* after the builds; or NULL */
    void (*digest)(const struct draft *d,
                   struct digest *digest); /* beyond file and symbol; or NULL */
    const char *const *env;                /* NAME=value of its own, NULL-terminated; or NULL */
};

/* Sets the zygote's command line: up to three words, NULL for none. Returns 0 or -ENOMEM. */
int runtime_argv(struct draft *d, const char *a, const char *b, const char *c);

/* Adds a word to it. Returns 0, -ENOBUFS or -ENOMEM. */
int runtime_argv_add(struct draft *d, const char *word);

/* The same for any number of words, NULL-terminated. */
int runtime_words(struct draft *d, const char *const *words);

/* A part of mayfly that must be there. NULL without memory or, with the draft broken, without it.
 */
char *runtime_lib_file(struct load *l, struct draft *d, const char *file);

/* Lets the function read a path of the host beside its code: one of ours, whatever links lead to
 * it. Returns 0 or -ENOMEM. */
int runtime_read_add(struct function *f, const char *path);

/* Shows a place of the host at another one. Returns 0 or -ENOMEM. */
int runtime_mount_add(struct function *f, const char *source, const char *target);

int runtime_python_prepare(struct load *l, struct draft *d);
int runtime_python_finish(struct draft *d);
void runtime_python_digest(const struct draft *d, struct digest *digest);
int runtime_source_prepare(struct load *l, struct draft *d);
int runtime_source_finish(struct draft *d);
void runtime_source_digest(const struct draft *d, struct digest *digest);
int runtime_shared_prepare(struct load *l, struct draft *d);
int runtime_exec_prepare(struct load *l, struct draft *d);
int runtime_provided_prepare(struct load *l, struct draft *d);
void runtime_provided_digest(const struct draft *d, struct digest *digest);
int runtime_static_prepare(struct load *l, struct draft *d);
int runtime_ruby_prepare(struct load *l, struct draft *d);
int runtime_perl_prepare(struct load *l, struct draft *d);
int runtime_php_prepare(struct load *l, struct draft *d);
int runtime_node_prepare(struct load *l, struct draft *d);
void runtime_node_digest(const struct draft *d, struct digest *digest);
int runtime_web_prepare(struct load *l, struct draft *d);
int runtime_web_finish(struct draft *d);
void runtime_web_digest(const struct draft *d, struct digest *digest);
