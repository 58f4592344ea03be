/* What stands in the way of a store: a damaged or a newer file, a full disk, another process.
 * Nothing is deleted, everything is said, and what can be healed is. */

#include "test-store.h"

#include "store/store-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>

static size_t rows;

static int count_row(void *ctx, uint64_t number, const struct record *r)
{
    rows++;
    return 0;
}

static size_t count_records(void)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];

    rows = 0;
    q.limit = STORE_LIMIT_MAX;
    assert_int_equal(store_records(store, &q, count_row, NULL, cursor), 0);
    return rows;
}

static int count_token(void *ctx, const struct store_token *t)
{
    rows++;
    return 0;
}

static void fill(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct record r = record_at(T0 + i * SECOND_US, i);

        r.stack =
            SLICE_LIT("a stack that takes some room, so that the file has more than a few pages");
        add(&r);
    }
    commit();
}

static size_t files_like(const char *part)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strstr(e->d_name, part) != NULL;
    (void)closedir(dir);
    return n;
}

static void overwrite(off_t from, off_t to)
{
    int fd = open(at(STORE_NAME), O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    for (; from < to; from += 16)
        assert_int_equal(pwrite(fd, "sixteen bytes!!!", 16, from), 16);
    (void)close(fd);
}

static void exec_sql(const char *sql)
{
    if (store_exec(store, sql) < 0)
        fail_msg("%s", store_error(store));
}

/* ---- damage ---- */

static void test_a_file_that_is_no_database_is_moved_aside_whole(void **unused)
{
    struct error err = ERROR_NULL;

    store = store_free(store);
    overwrite(0, 65536);
    assert_int_equal(store_open(at(STORE_NAME), 0, &store, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, STORE_NAME));
    assert_int_equal(files_like(".corrupt-"), 0);
    assert_int_equal(store_open_healing(at(STORE_NAME), 0, &store, &err), 1);
    assert_non_null(strstr(err.text, ".corrupt-"));
    assert_true(files_like(".corrupt-") > 0);
    fill(1);
    assert_int_equal(count_records(), 1);
}

static void test_damage_in_the_middle_is_found_and_tokens_are_saved(void **unused)
{
    static const uint8_t hash[STORE_HASH_SIZE] = {1};
    struct store_event event = {SLICE_LIT("f"), SLICE_LIT("e"), SLICE_LIT("{}"), T0};
    struct error err = ERROR_NULL;

    assert_int_equal(store_token_add(store, SLICE_LIT("laptop"), hash, T0), 0);
    assert_int_equal(store_event_put(store, &event), 0);
    fill(3000);
    store = store_free(store);
    overwrite(400000, 600000);
    assert_int_equal(store_open_healing(at(STORE_NAME), STORE_SUSPECT, &store, &err), 1);
    assert_non_null(strstr(err.text, "damaged"));
    rows = 0;
    assert_int_equal(store_tokens(store, count_token, NULL), 0);
    assert_int_equal(rows, 1);
    assert_int_equal(count_records(), 0);
    assert_true(files_like(".corrupt-") > 0);
}

static void test_damage_found_while_it_is_open_says_so(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];
    int r;

    fill(3000);
    store = store_free(store);
    overwrite(200000, 900000);
    open_again();
    q.limit = 1000;
    q.text = SLICE_LIT("no such text");
    r = store_records(store, &q, count_row, NULL, cursor);
    assert_int_equal(r, -EUCLEAN);
    assert_non_null(strstr(store_error(store), STORE_NAME));
}

static void test_a_sound_file_passes_as_suspect(void **unused)
{
    struct error err = ERROR_NULL;

    fill(100);
    store = store_free(store);
    assert_int_equal(store_open_healing(at(STORE_NAME), STORE_SUSPECT, &store, &err), 0);
    assert_int_equal(count_records(), 100);
}

static void test_what_a_damaged_row_holds_is_kept_in_bounds(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];

    fill(2);
    exec_sql("UPDATE records SET outcome = 99, trigger = -5, \"limit\" = 1000, path = x'00ff',"
             " request_id = 'no id', version_id = 77, total_ns = 'text'");
    rows = 0;
    assert_int_equal(store_records(store, &q, count_row, NULL, cursor), 0);
    q.order = STORE_BY_NUMBER;
    assert_int_equal(store_records(store, &q, count_row, NULL, cursor), 0);
}

/* ---- versions of the file ---- */

static void test_a_newer_file_is_refused_and_left_alone(void **unused)
{
    struct error err = ERROR_NULL;

    fill(1);
    exec_sql("PRAGMA user_version = 99");
    store = store_free(store);
    assert_int_equal(store_open_healing(at(STORE_NAME), 0, &store, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "newer"));
    assert_null(store);
    assert_int_equal(files_like(".corrupt-"), 0);
}

static void test_a_database_of_somebody_else_is_left_alone(void **unused)
{
    struct error err = ERROR_NULL;

    exec_sql("PRAGMA user_version = 0");
    store = store_free(store);
    assert_int_equal(store_open_healing(at(STORE_NAME), 0, &store, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "not one of mayfly's"));
}

static int step_that_works(struct store *s)
{
    return store_exec(s, "CREATE TABLE second (x INTEGER); INSERT INTO second VALUES (2)");
}

static int step_that_fails(struct store *s)
{
    int r = store_exec(s, "CREATE TABLE third (x INTEGER)");

    return r < 0 ? r : store_exec(s, "INSERT INTO nowhere VALUES (1)");
}

static int step_never_run(struct store *s)
{
    fail_msg("a step that the file has had already was run");
    return 0;
}

static void test_each_step_to_a_newer_version_is_done_once_and_whole(void **unused)
{
    const schema_step_f failing[] = {step_never_run, step_that_works, step_that_fails};
    const schema_step_f works[] = {step_never_run, step_that_works};
    const schema_step_f done[] = {step_never_run, step_never_run};
    struct error err = ERROR_NULL;

    static_assert(STORE_VERSION == 1, "one more step stands before the artificial ones");
    fill(3);
    assert_true(schema_apply(store, failing, 3, &err) < 0);
    assert_non_null(strstr(err.text, "nowhere"));
    assert_true(store_exec(store, "SELECT * FROM second") < 0); /* all or nothing */
    assert_int_equal(schema_apply(store, works, 2, &err), 0);
    exec_sql("SELECT * FROM second");
    assert_int_equal(schema_apply(store, done, 2, &err), 0);
    assert_int_equal(schema_apply(store, done, 1, &err), -ENOTSUP);
    assert_int_equal(count_records(), 3);
}

static void
test_a_field_that_records_have_got_since_has_its_column_with_the_next_start(void **unused)
{
    fill(1);
    exec_sql("ALTER TABLE records DROP COLUMN memory_limit_bytes");
    exec_sql("ALTER TABLE rollups DROP COLUMN outcome_throttled");
    open_again();
    fill(1);
    assert_int_equal(count_records(), 2);
}

/* ---- other processes ---- */

static void test_a_second_mayfly_is_refused(void **unused)
{
    struct error err = ERROR_NULL;
    struct store *second = NULL;

    assert_int_equal(store_open(at(STORE_NAME), 0, &second, &err), -EBUSY);
    assert_non_null(strstr(err.text, "in use"));
    assert_null(second);
    fill(1);
}

static void test_another_program_that_writes_is_waited_for_and_told(void **unused)
{
    struct record r = record_at(T0, 1);
    sqlite3 *other;

    assert_int_equal(sqlite3_open(at(STORE_NAME), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_add_record(store, &r), -EBUSY);
    assert_non_null(strstr(store_error(store), "locked"));
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(store_commit(store), -EBUSY);
    add(&r);
    commit();
    assert_int_equal(count_records(), 1);
}

static void test_a_folder_that_cannot_be_written_to_is_named(void **unused)
{
    struct error err = ERROR_NULL;
    uid_t uid = geteuid();

    store = store_free(store);
    assert_int_equal(chmod(folder, 0500), 0);
    if (uid == 0) { /* whom nothing would stop */
        assert_int_equal(chown(folder, 65534, 65534), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    assert_int_equal(store_open(at("new.db"), 0, &store, &err), -EACCES);
    assert_non_null(strstr(err.text, "new.db"));
    assert_int_equal(store_open(at("no/such/folder.db"), 0, &store, &err), -ENOENT);
    assert_int_equal(seteuid(uid), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void test_a_link_in_the_place_of_the_file_is_not_followed(void **unused)
{
    struct error err = ERROR_NULL;
    char target[PATH_MAX + 16];

    store = store_free(store);
    (void)snprintf(target, sizeof(target), "%s/elsewhere", folder);
    assert_int_equal(symlink(target, at("link.db")), 0);
    assert_true(store_open(at("link.db"), 0, &store, &err) < 0);
    assert_int_equal(access(target, F_OK), -1);
}

static void test_a_folder_may_be_reached_by_a_link(void **unused)
{
    struct error err = ERROR_NULL;

    store = store_free(store);
    assert_int_equal(symlink(folder, at("here")), 0);
    if (store_open(at("here/" STORE_NAME), 0, &store, &err) < 0)
        fail_msg("%s", err.text);
    fill(1);
    store = store_free(store);
    assert_int_equal(mkdir(at("folder.db"), 0700), 0);
    assert_true(store_open(at("folder.db"), 0, &store, &err) < 0);
    assert_int_equal(mkfifo(at("pipe.db"), 0600), 0);
    assert_int_equal(store_open(at("pipe.db"), 0, &store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "pipe.db"));
}

static void test_others_cannot_read_the_file(void **unused)
{
    struct stat st;

    fill(1);
    assert_int_equal(stat(at(STORE_NAME), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(at(STORE_NAME "-wal"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* ---- a full disk ---- */

/* Adds until there is no room. Returns how many were committed. */
static unsigned fill_up(unsigned from)
{
    unsigned committed = 0;

    for (unsigned batch = 0; batch < 10000; batch++) {
        for (unsigned i = 0; i < 50; i++) {
            struct record r = record_at(T0 + (from + batch * 50 + i) * SECOND_US, i);

            r.stack =
                SLICE_LIT("a stack, to fill it sooner ........................................");
            if (store_add_record(store, &r) < 0)
                break;
        }
        if (store_commit(store) < 0)
            return committed;
        committed += 50;
    }
    fail_msg("it never got full");
    return 0;
}

static void full(void)
{
    struct retention keep = RETENTION_DEFAULT;
    struct store_retained gone = {0};
    struct record r = record_at(T0, 1);
    unsigned n = fill_up(0);
    int e;

    assert_true(n > 0);
    assert_non_null(strstr(store_error(store), STORE_NAME));
    assert_int_equal(count_records() > 0, 1);
    /* A failed batch fails to its end, and is not there. */
    for (e = 0; e == 0;)
        e = store_add_record(store, &r);
    assert_int_equal(e, -ENOSPC);
    assert_int_equal(store_add_record(store, &r), -ENOSPC);
    assert_int_equal(store_batch_begin(store, 1, 1), -ENOSPC);
    assert_int_equal(store_commit(store), -ENOSPC);
    /* Room can be made, and then it goes on. */
    keep.all.records = n / 2;
    keep.settle_s = 0;
    keep.all.age_us = 0;
    for (e = 1; e == 1;)
        e = store_retain(store, &keep, T0 + DAY_US, 10000, &gone);
    if (e != 0)
        fail_msg("%d: %s", e, store_error(store));
    assert_int_equal(gone.records, n - n / 2);
    add(&r);
    commit();
    open_again();
    assert_int_equal(store_last_record(store), n + 1);
}

static void test_a_file_that_may_not_grow_loses_a_batch_and_heals(void **unused)
{
    exec_sql("PRAGMA max_page_count = 60");
    full();
}

static void test_a_full_disk_loses_a_batch_and_heals(void **unused)
{
    char disk[PATH_MAX + 16];

    if (geteuid() != 0) {
        print_message("# needs root, to mount a small disk\n");
        return;
    }
    (void)snprintf(disk, sizeof(disk), "%s/disk", folder);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("tmpfs", disk, "tmpfs", MS_NOSUID | MS_NODEV, "size=24m") < 0) {
        print_message("# may not mount a small disk here\n");
        return;
    }
    store = store_free(store);
    (void)strcat(folder, "/disk");
    open_again();
    full();
    store = store_free(store);
    (void)umount2(disk, MNT_DETACH);
    *strrchr(folder, '/') = '\0';
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_that_is_no_database_is_moved_aside_whole),
        TEST(test_damage_in_the_middle_is_found_and_tokens_are_saved),
        TEST(test_damage_found_while_it_is_open_says_so),
        TEST(test_a_sound_file_passes_as_suspect),
        TEST(test_what_a_damaged_row_holds_is_kept_in_bounds),
        TEST(test_a_newer_file_is_refused_and_left_alone),
        TEST(test_a_database_of_somebody_else_is_left_alone),
        TEST(test_each_step_to_a_newer_version_is_done_once_and_whole),
        TEST(test_a_field_that_records_have_got_since_has_its_column_with_the_next_start),
        TEST(test_a_second_mayfly_is_refused),
        TEST(test_another_program_that_writes_is_waited_for_and_told),
        TEST(test_a_folder_that_cannot_be_written_to_is_named),
        TEST(test_a_link_in_the_place_of_the_file_is_not_followed),
        TEST(test_a_folder_may_be_reached_by_a_link),
        TEST(test_others_cannot_read_the_file),
        TEST(test_a_file_that_may_not_grow_loses_a_batch_and_heals),
        TEST(test_a_full_disk_loses_a_batch_and_heals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
