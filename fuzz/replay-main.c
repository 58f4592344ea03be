/* Runs a target over files instead of under libFuzzer: the corpus is a test in every build, with
 * any compiler. Arguments are files, or folders whose files are all taken. */

#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static size_t n_inputs;

static int replay_file(const char *path)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0, len;
    FILE *from, *to;
    char part[65536];

    from = fopen(path, "re");
    if (!from)
        return -errno;
    to = open_memstream(&text, &size);
    if (!to) {
        (void)fclose(from);
        return -ENOMEM;
    }
    while ((len = fread(part, 1, sizeof(part), from)) > 0)
        (void)fwrite(part, 1, len, to); /* told by fclose() */
    (void)fclose(from);
    if (fclose(to) != 0)
        return -ENOMEM;
    /* An exact copy, so that a sanitizer sees a byte read too far. */
    {
        _cleanup_free_ uint8_t *exact = malloc(size > 0 ? size : 1);

        if (!exact)
            return -ENOMEM;
        memcpy(exact, text, size);
        (void)LLVMFuzzerTestOneInput(exact, size); /* always 0 */
    }
    n_inputs++;
    return 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay(const char *path)
{
    struct dirent **entries;
    struct stat st;
    int n, r = 0;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return replay_file(path);
    n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = NULL;

        if (r == 0)
            r = asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? -ENOMEM
                                                                       : replay_file(file);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int r = replay(argv[i]);

        if (r < 0) {
            (void)fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
            return EXIT_FAILURE;
        }
    }
    (void)printf("%zu inputs\n", n_inputs);
    return n_inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
