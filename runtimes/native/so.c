/* The host of prebuilt shared libraries: mayfly-native-so PATH.so SYMBOL. The library finds the
 * functions of mayfly.h in this program, which exports them. */

#include "native.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static void *open_library(struct zygote *z, const char *path)
{
    char with_slash[4096], message[1024];
    void *library;

    /* Without a slash dlopen() would look for it among the system's libraries. */
    (void)snprintf(with_slash, sizeof(with_slash), "%s%s", strchr(path, '/') ? "" : "./", path);
    library = dlopen(with_slash, RTLD_NOW | RTLD_LOCAL);
    if (library)
        return library;
    (void)snprintf(message, sizeof(message), "cannot load the shared library: %s", dlerror());
    zygote_fail_text(z, "LoadError", message, "");
}

static void *find_handler(struct zygote *z, void *library, const char *path, const char *name)
{
    char message[1024], exported[512];
    void *handler = dlsym(library, name);

    if (handler)
        return handler;
    symbol_list_exported(path, exported, sizeof(exported));
    (void)snprintf(message, sizeof(message), "%s exports no function %s; %s%s", path, name,
                   *exported ? "it exports "
                             : "it exports none: is it compiled with "
                               "-fvisibility=hidden? Then put MAYFLY_EXPORT "
                               "before the handler",
                   exported);
    zygote_fail_text(z, "LoadError", message, "");
}

int main(int argc, char **argv)
{
    static struct native_function function;
    struct zygote *z;
    void *library;

    if (argc != 3) {
        fputs("usage: mayfly-native-so PATH.so SYMBOL\n", stderr);
        return 2;
    }
    z = native_open();
    library = open_library(z, argv[1]);
    function = (struct native_function){
        .handler = (mayfly_handler *)(uintptr_t)find_handler(z, library, argv[1], argv[2]),
        .init = (int (*)(void))(uintptr_t)dlsym(library, "mayfly_init"),
        .warmup = (void (*)(void))(uintptr_t)dlsym(library, "mayfly_warmup"),
    };
    native_run(z, &function);
}
