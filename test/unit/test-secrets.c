/* What is sealed opens again, and only as itself: every changed byte, another name, another key and
 * a key that others can read are refused. And the bytes in which values travel. */

#include "secrets/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define VALUE "canary-0123456789abcdef-0123456789abcdef-0123456789abcdef-012345"

static char state[PATH_MAX];

static int folder_setup(void **unused)
{
    (void)unused;
    (void)strcpy(state, "/tmp/mayfly-test-XXXXXX");
    return mkdtemp(state) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int folder_teardown(void **unused)
{
    (void)unused;
    return nftw(state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *at(const char *file)
{
    static char path[PATH_MAX + 256];

    (void)snprintf(path, sizeof(path), "%s/%s", state, file);
    return path;
}

static size_t file_read(const char *file, char *dst, size_t size)
{
    FILE *f = fopen(at(file), "r");
    size_t n;

    assert_non_null(f);
    n = fread(dst, 1, size, f);
    (void)fclose(f);
    return n;
}

static void file_write(const char *file, const char *bytes, size_t n)
{
    FILE *f = fopen(at(file), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    (void)fclose(f);
}

static struct secrets *open_store(void)
{
    struct error err = ERROR_NULL;
    struct secrets *s;

    if (secrets_open(state, NULL, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void set(const char *name, struct slice value)
{
    struct secrets *s = open_store();
    struct error err = ERROR_NULL;

    if (secrets_set(s, name, value, &err) < 0)
        fail_msg("%s", err.text);
    (void)secrets_close(s);
}

/* The result of a get in a store that is opened anew; the text of the error is left in err. */
static int get(const char *name, struct slice expected, struct error *err)
{
    struct secret secret = {0};
    struct secrets *s = open_store();
    int r = secrets_get(s, name, &secret, err);

    if (r == 0) {
        assert_true(slice_eq(slice(secret.value, secret.len), expected));
        assert_int_equal(secret.value[secret.len], '\0');
    } else {
        assert_null(secret.value);
    }
    secret_clear(&secret);
    (void)secrets_close(s);
    return r;
}

static void what_is_sealed_opens_again_and_is_not_in_the_files(void **unused)
{
    struct error err = ERROR_NULL;
    char bytes[8192];
    struct stat st;
    size_t n;

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    set("with.all-of_0", SLICE_LIT("x"));
    assert_int_equal(get("A", SLICE_LIT(VALUE), &err), 0);
    assert_int_equal(get("with.all-of_0", SLICE_LIT("x"), &err), 0);
    n = file_read("secrets/A", bytes, sizeof(bytes));
    assert_int_equal(n, 44 + sizeof(VALUE) - 1);
    assert_null(memmem(bytes, n, "canary", 6));
    assert_int_equal(stat(at("secrets/A"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(at("secrets"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(at("secrets.key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
}

static void the_largest_value_fits_and_no_larger_one(void **unused)
{
    static char large[SECRET_VALUE_MAX + 1];
    struct secrets *s = open_store();
    struct error err = ERROR_NULL;

    (void)unused;
    memset(large, 'x', sizeof(large));
    assert_int_equal(secrets_set(s, "L", slice(large, SECRET_VALUE_MAX), &err), 0);
    assert_int_equal(get("L", slice(large, SECRET_VALUE_MAX), &err), 0);
    assert_int_equal(secrets_set(s, "L", slice(large, sizeof(large)), &err), -EINVAL);
    assert_int_equal(secrets_set(s, "L", SLICE_LIT(""), &err), -EINVAL);
    assert_int_equal(secrets_set(s, "L", SLICE_LIT("a\0b"), &err), -EINVAL);
    (void)secrets_close(s);
}

static void any_changed_byte_is_noticed(void **unused)
{
    char bytes[256];
    size_t n;

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    n = file_read("secrets/A", bytes, sizeof(bytes));
    for (size_t i = 0; i < n; i++) {
        struct error err = ERROR_NULL;
        int r;

        bytes[i] ^= 1;
        file_write("secrets/A", bytes, n);
        r = get("A", SLICE_NULL, &err);
        assert_int_equal(r, i >= 8 && i < 16 ? -EKEYREJECTED : -EBADMSG);
        assert_null(strstr(err.text, "canary"));
        bytes[i] ^= 1;
    }
    for (size_t len = 0; len < n; len++) {
        struct error err = ERROR_NULL;

        file_write("secrets/A", bytes, len);
        assert_int_equal(get("A", SLICE_NULL, &err), -EBADMSG);
    }
    file_write("secrets/A", bytes, n);
    assert_int_equal(get("A", SLICE_LIT(VALUE), NULL), 0);
}

static void a_file_opens_under_its_own_name_only(void **unused)
{
    struct error err = ERROR_NULL;
    char to[PATH_MAX + 256];

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    set("B", SLICE_LIT("other"));
    (void)strcpy(to, at("secrets/B"));
    assert_int_equal(rename(at("secrets/A"), to), 0);
    assert_int_equal(get("B", SLICE_NULL, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "damaged"));
}

static void another_key_is_told_from_damage(void **unused)
{
    struct secrets *s;
    struct error err = ERROR_NULL;
    char key[64];

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    set("B", SLICE_LIT(VALUE));
    memset(key, 'k', sizeof(key));
    file_write("secrets.key", key, sizeof(key));
    assert_int_equal(get("A", SLICE_NULL, &err), -EKEYREJECTED);
    assert_non_null(strstr(err.text, "another key"));
    s = open_store();
    assert_int_equal(secrets_set(s, "C", SLICE_LIT("x"), &err), -EKEYREJECTED);
    (void)secrets_close(s);
    assert_int_equal(unlink(at("secrets.key")), 0);
    assert_int_equal(get("A", SLICE_NULL, &err), -ENOKEY);
    s = open_store();
    assert_int_equal(secrets_set(s, "C", SLICE_LIT("x"), &err), -ENOKEY);
    (void)secrets_close(s);
    assert_int_not_equal(access(at("secrets.key"), F_OK), 0);
}

static void a_key_that_others_can_read_is_refused(void **unused)
{
    static const unsigned modes[] = {0604, 0640, 0610, 0601, 0666};
    struct secrets *s;

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct error err = ERROR_NULL;

        assert_int_equal(chmod(at("secrets.key"), modes[i]), 0);
        assert_int_equal(secrets_open(state, NULL, &s, &err), -EPERM);
        assert_non_null(strstr(err.text, "chmod 600"));
    }
    assert_int_equal(chmod(at("secrets.key"), 0400), 0);
    assert_int_equal(get("A", SLICE_LIT(VALUE), NULL), 0);
    assert_int_equal(truncate(at("secrets.key"), 31), getuid() == 0 ? 0 : -1);
    assert_int_equal(unlink(at("secrets.key")), 0);
    assert_int_equal(symlink("/dev/zero", at("secrets.key")), 0);
    assert_true(secrets_open(state, NULL, &s, NULL) < 0);
}

static void a_key_that_is_too_short_is_refused(void **unused)
{
    struct error err = ERROR_NULL;
    struct secrets *s;

    (void)unused;
    file_write("secrets.key", VALUE, 31);
    assert_int_equal(chmod(at("secrets.key"), 0600), 0);
    assert_int_equal(secrets_open(state, NULL, &s, &err), -EINVAL);
    file_write("secrets.key", VALUE, 32);
    assert_int_equal(secrets_open(state, NULL, &s, &err), 0);
    (void)secrets_close(s);
}

static void a_credential_goes_before_the_key_file(void **unused)
{
    char credentials[PATH_MAX + 256];
    struct secret secret = {0};
    struct secrets *s;
    struct stat st;

    (void)unused;
    (void)strcpy(credentials, at("credentials"));
    assert_int_equal(mkdir(credentials, 0700), 0);
    file_write("credentials/mayfly.key", VALUE, 64);
    assert_int_equal(chmod(at("credentials/mayfly.key"), 0440), 0);
    assert_int_equal(secrets_open(state, credentials, &s, NULL), 0);
    assert_int_equal(secrets_set(s, "A", SLICE_LIT("x"), NULL), 0);
    (void)secrets_close(s);
    assert_int_not_equal(stat(at("secrets.key"), &st), 0);
    assert_int_equal(secrets_open(state, credentials, &s, NULL), 0);
    assert_int_equal(secrets_get(s, "A", &secret, NULL), 0);
    secret_clear(&secret);
    (void)secrets_close(s);
    assert_int_equal(get("A", SLICE_NULL, NULL), -ENOKEY);
    assert_int_equal(chmod(at("credentials/mayfly.key"), 0444), 0);
    assert_int_equal(secrets_open(state, credentials, &s, NULL), -EPERM);
}

static void the_tag_changes_with_each_setting_and_only_then(void **unused)
{
    struct secret a = {0}, b = {0};
    struct secrets *s;

    (void)unused;
    set("A", SLICE_LIT(VALUE));
    s = open_store();
    assert_int_equal(secrets_get(s, "A", &a, NULL), 0);
    assert_int_equal(secrets_get(s, "A", &b, NULL), 0);
    assert_memory_equal(a.tag, b.tag, sizeof(a.tag));
    secret_clear(&b);
    assert_int_equal(secrets_set(s, "A", SLICE_LIT(VALUE), NULL), 0);
    assert_int_equal(secrets_get(s, "A", &b, NULL), 0);
    assert_memory_not_equal(a.tag, b.tag, sizeof(a.tag));
    secret_clear(&a);
    secret_clear(&b);
    (void)secrets_close(s);
}

static void names_are_safe_as_files(void **unused)
{
    static const char *const bad[] = {"",    ".",    "..", ".new-x", "-x", "a/b",
                                      "a b", "a\nb", "ä",  "a}b",    "a$"};
    struct secrets *s = open_store();
    char longest[SECRET_NAME_MAX + 2];

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(secrets_set(s, bad[i], SLICE_LIT("x"), NULL), -EINVAL);
        assert_int_equal(secrets_remove(s, bad[i], NULL), -EINVAL);
    }
    memset(longest, 'n', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(secrets_set(s, longest, SLICE_LIT("x"), NULL), -EINVAL);
    assert_int_equal(secrets_set(s, longest + 1, SLICE_LIT("x"), NULL), 0);
    (void)secrets_close(s);
}

static void there_is_a_ceiling_on_their_number(void **unused)
{
    struct secrets *s = open_store();
    struct error err = ERROR_NULL;
    char name[16];

    (void)unused;
    set("S0", SLICE_LIT("x"));
    for (int i = 1; i < SECRETS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "secrets/S%d", i);
        file_write(name, "x", 1);
    }
    (void)secrets_close(s);
    s = open_store();
    assert_int_equal(secrets_set(s, "one-more", SLICE_LIT("x"), &err), -ENOSPC);
    assert_int_equal(secrets_set(s, "S1", SLICE_LIT("x"), &err), 0);
    (void)secrets_close(s);
}

static void they_are_listed_by_name_and_removed(void **unused)
{
    struct secret_info *infos;
    struct secrets *s = open_store();
    size_t n;

    (void)unused;
    assert_int_equal(secrets_list(s, &infos, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(infos);
    assert_int_equal(secrets_remove(s, "B", NULL), -ENOENT);
    assert_int_equal(secrets_set(s, "B", SLICE_LIT("x"), NULL), 0);
    assert_int_equal(secrets_set(s, "A", SLICE_LIT("x"), NULL), 0);
    file_write("secrets/.new-left", "x", 1);
    assert_int_equal(secrets_list(s, &infos, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(infos[0].name, "A");
    assert_string_equal(infos[1].name, "B");
    assert_true(infos[0].set.tv_sec > 1000000000);
    free(infos);
    assert_int_equal(secrets_remove(s, "A", NULL), 0);
    assert_int_equal(secrets_list(s, &infos, &n, NULL), 0);
    assert_int_equal(n, 1);
    free(infos);
    (void)secrets_close(s);
}

/* ---- model/secret.h ---- */

static void texts_come_apart(void **unused)
{
    static const struct {
        const char *text, *pieces; /* of which secrets stand in <> */
    } cases[] = {
        {"plain", "plain|"},
        {"", ""},
        {"${secret:A}", "<A>|"},
        {"a${secret:A}b${secret:B.c-d_E}", "a|<A>|b|<B.c-d_E>|"},
        {"$${secret:A}", "${|secret:A}|"},
        {"a$${x}$$${secret:B}", "a|${|x}$|${|secret:B}|"},
        {"$", "$|"},
        {"$$", "$$|"},
        {"a$b{c}", "a$b{c}|"},
        {"${", "!"},
        {"${}", "!"},
        {"${HOME}", "!"},
        {"${secret:}", "!"},
        {"${secret:A", "!"},
        {"${secret:A B}", "!"},
        {"${secret:../A}", "!"},
        {"x${secrets:A}", "x|!"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct slice rest = slice_str(cases[i].text);
        struct secret_piece piece;
        char text[256] = "";
        int r;

        while ((r = secret_piece_next(&rest, &piece)) > 0)
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                           piece.is_secret ? "<%.*s>|" : "%.*s|", SLICE_ARG(piece.text));
        if (r < 0)
            (void)strcat(text, "!");
        assert_string_equal(text, cases[i].pieces);
    }
    assert_true(secret_is_in(SLICE_LIT("a${secret:A}")));
    assert_false(secret_is_in(SLICE_LIT("a$${secret:A}")));
}

static void bundle_make(struct buf *b)
{
    assert_int_equal(secret_entry_begin(b, SECRET_ENTRY_VARIABLE, SLICE_LIT("PW")), 0);
    assert_int_equal(buf_append(b, "a=b", 4), 0);
    assert_int_equal(secret_entry_begin(b, SECRET_ENTRY_SECRET, SLICE_LIT("S")), 0);
    assert_int_equal(buf_append(b, "", 1), 0);
}

static void a_bundle_survives_the_way_between_processes(void **unused)
{
    struct buf bundle = BUF_INIT(4096), b = BUF_INIT(4096);
    struct secret_entry entry;
    struct slice found, rest;

    (void)unused;
    bundle_make(&bundle);
    assert_int_equal(secret_bundles_begin(&b), 0);
    assert_int_equal(secret_bundles_add(&b, "f", "0123456789abcdef", buf_slice(&bundle)), 0);
    assert_int_equal(secret_bundles_add(&b, "g", "1123456789abcdef", buf_slice(&bundle)), 0);
    secret_bundles_end(&b, 2);
    assert_int_equal(secret_bundles_find(buf_slice(&b), "f", "x", &found), -ENOENT);
    assert_int_equal(secret_bundles_find(buf_slice(&b), "h", "0123456789abcdef", &found), -ENOENT);
    assert_int_equal(secret_bundles_find(buf_slice(&b), "f", "0123456789abcdef", &found), 0);
    assert_true(slice_eq(found, buf_slice(&bundle)));
    rest = found;
    assert_int_equal(secret_entry_next(&rest, &entry), 1);
    assert_int_equal(entry.kind, SECRET_ENTRY_VARIABLE);
    assert_string_equal(entry.text, "PW=a=b");
    assert_int_equal(entry.name_len, 2);
    assert_int_equal(entry.value_len, 3);
    assert_int_equal(secret_entry_next(&rest, &entry), 1);
    assert_int_equal(entry.kind, SECRET_ENTRY_SECRET);
    assert_int_equal(entry.value_len, 0);
    assert_int_equal(secret_entry_next(&rest, &entry), 0);
    buf_deinit(&bundle);
    buf_deinit(&b);
}

static void bundles_cut_or_changed_are_refused_or_read_but_never_believed(void **unused)
{
    struct buf bundle = BUF_INIT(4096), b = BUF_INIT(4096);
    struct slice found;

    (void)unused;
    bundle_make(&bundle);
    assert_int_equal(secret_bundles_begin(&b), 0);
    assert_int_equal(secret_bundles_add(&b, "f", "0123456789abcdef", buf_slice(&bundle)), 0);
    secret_bundles_end(&b, 1);
    for (size_t len = 0; len < buf_len(&b); len++) {
        char *copy = malloc(len ? len : 1);

        memcpy(copy, b.data, len);
        assert_int_equal(secret_bundles_find(slice(copy, len), "f", "0123456789abcdef", &found),
                         -EBADMSG);
        free(copy);
    }
    for (size_t i = 0; i < buf_len(&b) * 256; i++) {
        char *copy = malloc(buf_len(&b));
        int r;

        memcpy(copy, b.data, buf_len(&b));
        copy[i / 256] = (char)(i % 256);
        r = secret_bundles_find(slice(copy, buf_len(&b)), "f", "0123456789abcdef", &found);
        assert_true(r == 0 || r == -ENOENT || r == -EBADMSG);
        free(copy);
    }
    buf_deinit(&bundle);
    buf_deinit(&b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_sealed_opens_again_and_is_not_in_the_files),
        CASE(the_largest_value_fits_and_no_larger_one),
        CASE(any_changed_byte_is_noticed),
        CASE(a_file_opens_under_its_own_name_only),
        CASE(another_key_is_told_from_damage),
        CASE(a_key_that_others_can_read_is_refused),
        CASE(a_key_that_is_too_short_is_refused),
        CASE(a_credential_goes_before_the_key_file),
        CASE(the_tag_changes_with_each_setting_and_only_then),
        CASE(names_are_safe_as_files),
        CASE(there_is_a_ceiling_on_their_number),
        CASE(they_are_listed_by_name_and_removed),
        cmocka_unit_test(texts_come_apart),
        cmocka_unit_test(a_bundle_survives_the_way_between_processes),
        cmocka_unit_test(bundles_cut_or_changed_are_refused_or_read_but_never_believed),
    };

    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
