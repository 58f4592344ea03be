#include "model/function.h"

#include <ctype.h>

static const char *const runtime_names[_RUNTIME_MAX] = {
    [RUNTIME_PYTHON] = "python", [RUNTIME_NODE] = "node",         [RUNTIME_NATIVE] = "native",
    [RUNTIME_EXEC] = "exec",     [RUNTIME_PROVIDED] = "provided", [RUNTIME_WEB] = "web",
    [RUNTIME_RUBY] = "ruby",     [RUNTIME_PHP] = "php",           [RUNTIME_PERL] = "perl",
    [RUNTIME_STATIC] = "static",
};

static const char *const isolation_names[_ISOLATION_MAX] = {
    [ISOLATION_REQUEST] = "request",
    [ISOLATION_INSTANCE] = "instance",
};

static const char *const network_names[_NETWORK_MAX] = {
    [NETWORK_HOST] = "host",
    [NETWORK_NONE] = "none",
    [NETWORK_LIST] = "list",
};

static const char *const secrets_when_names[_SECRETS_MAX] = {
    [SECRETS_REQUEST] = "request",
    [SECRETS_LOAD] = "load",
};

const struct limit_info limit_infos[] = {
#define LIMIT(field, key_, unit_, min_, max_, dflt_, text_)                                        \
    {.key = (key_),                                                                                \
     .text = (text_),                                                                              \
     .unit = (unit_),                                                                              \
     .min = (min_),                                                                                \
     .max = (max_),                                                                                \
     .dflt = (dflt_),                                                                              \
     .offset = offsetof(struct limits, field)},
#include "model/limits.tbl.h"
#undef LIMIT
};

const size_t n_limit_infos = ARRAY_SIZE(limit_infos);

static int name_lookup(const char *const *names, size_t n_names, struct slice name)
{
    for (size_t i = 0; i < n_names; i++) {
        if (slice_eq(slice_str(names[i]), name))
            return (int)i;
    }
    return -1;
}

const char *runtime_name(enum runtime runtime)
{
    assert((unsigned)runtime < _RUNTIME_MAX);
    return runtime_names[runtime];
}

int runtime_from_name(struct slice name)
{
    return name_lookup(runtime_names, _RUNTIME_MAX, name);
}

const char *isolation_name(enum isolation isolation)
{
    assert((unsigned)isolation < _ISOLATION_MAX);
    return isolation_names[isolation];
}

int isolation_from_name(struct slice name)
{
    return name_lookup(isolation_names, _ISOLATION_MAX, name);
}

const char *network_name(enum network network)
{
    assert((unsigned)network < _NETWORK_MAX);
    return network_names[network];
}

int network_from_name(struct slice name)
{
    return name_lookup(network_names, _NETWORK_MAX, name);
}

int secrets_when_from_name(struct slice name)
{
    return name_lookup(secrets_when_names, _SECRETS_MAX, name);
}

void limits_init(struct limits *limits)
{
    *limits = (struct limits){
#define LIMIT(field, key, unit, min, max, dflt, text) .field = (dflt),
#include "model/limits.tbl.h"
#undef LIMIT
    };
}

static void strings_free(char **strings)
{
    for (char **s = strings; s && *s; s++)
        free(*s);
    free(strings);
}

void function_deinit(struct function *f)
{
    free(f->name);
    free(f->project);
    free(f->handler);
    free(f->code_dir);
    strings_free(f->argv);
    strings_free(f->env);
    strings_free(f->secrets);
    strings_free(f->egress);
    strings_free(f->reads);
    strings_free(f->redact);
    strings_free(f->writes);
    strings_free(f->mounts);
    strings_free(f->about);
    free(f->broken);
    *f = (struct function){0};
}

bool function_mount_is_valid(const char *target)
{
    static const char *const taken = "/var/task";

    if (strncmp(target, "/var/", 5) != 0 || strlen(target) >= FUNCTION_MOUNT_TARGET_MAX ||
        strstr(target, "//") || target[strlen(target) - 1] == '/')
        return false;
    if (strncmp(target, taken, strlen(taken)) == 0 &&
        (target[strlen(taken)] == '/' || target[strlen(taken)] == '\0'))
        return false;
    for (const char *p = target; (p = strstr(p, "/.")); p += 2) {
        if (p[2] == '\0' || p[2] == '/' || p[2] == '.')
            return false;
    }
    return true;
}

/* No empty, "." or ".." part: a function's name is used as a path below state folders. */
bool function_name_is_valid(struct slice name)
{
    size_t part = 0;

    if (name.len == 0 || name.len > FUNCTION_NAME_MAX)
        return false;
    for (size_t i = 0; i <= name.len; i++) {
        struct slice p = slice(name.base + part, i - part);

        if (i < name.len && name.base[i] != '/') {
            unsigned char c = (unsigned char)name.base[i];

            if (c >= 0x80 || (!isalnum(c) && !memchr("-_.[]", c, 5)))
                return false;
            continue;
        }
        if (p.len == 0 || slice_eq(p, SLICE_LIT(".")) || slice_eq(p, SLICE_LIT("..")))
            return false;
        part = i + 1;
    }
    return true;
}
