/* Records on their way into the store: each batch once, told when it stays; and that without a
 * store all goes on, with what is lost counted and told later. */

#include "control/keep.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "01a22798-81ef-7dc4-9518-ca1aef360a8"

static char dir[] = "/tmp/mayfly-test-XXXXXX";
static uint64_t told;
static unsigned n_status;

static void on_taken(struct keep *k, uint64_t batch)
{
    told = batch;
}

static void on_status(struct keep *k)
{
    n_status++;
}

static int dir_make(void **state)
{
    (void)strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    told = n_status = 0;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static int dir_remove(void **state)
{
    return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void put_record(struct keep *k, char last)
{
    char id[] = ID "0";
    struct record r = {.function = SLICE_LIT("f"), .version = SLICE_LIT("v")};

    id[sizeof(id) - 2] = last;
    r.request_id = slice_str(id);
    keep_record(k, &r);
}

static uint64_t n_records(struct keep *k)
{
    struct store_info info = {0};

    assert_non_null(keep_store(k));
    assert_int_equal(store_info(keep_store(k), &info), 0);
    return info.records;
}

/* The store's version, as its file's head has it. */
static void version_write(uint8_t version)
{
    int fd = open(path_of(STORE_NAME), O_WRONLY | O_CLOEXEC);
    uint8_t bytes[4] = {0, 0, 0, version};

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 60), sizeof(bytes));
    (void)close(fd);
}

static uint8_t version_read(void)
{
    int fd = open(path_of(STORE_NAME), O_RDONLY | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(fd, &byte, 1, 63), 1);
    (void)close(fd);
    return byte;
}

static void a_batch_is_kept_once_and_told_when_it_stays(void **state)
{
    struct keep k;

    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_int_equal(k.status, KEEP_OK);
    assert_true(keep_batch_begin(&k, 7, 1));
    put_record(&k, '1');
    keep_batch_end(&k);
    assert_int_equal(told, 0); /* not before it is committed */
    keep_commit(&k);
    assert_int_equal(told, 1);
    assert_false(keep_batch_begin(&k, 7, 1));
    keep_deinit(&k);

    /* Whoever comes after us is given again what its predecessor was not heard of. */
    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_false(keep_batch_begin(&k, 7, 1));
    keep_batch_end(&k);
    assert_true(keep_batch_begin(&k, 7, 2));
    put_record(&k, '2');
    keep_batch_end(&k);
    assert_true(keep_batch_begin(&k, 8, 1)); /* another gateway */
    put_record(&k, '3');
    keep_batch_end(&k);
    keep_commit(&k);
    assert_int_equal(n_records(&k), 3);
    keep_deinit(&k);
}

static void what_was_not_committed_comes_again(void **state)
{
    struct keep k;

    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_true(keep_batch_begin(&k, 7, 1));
    put_record(&k, '1');
    k.store = store_free(k.store); /* as if it were killed */
    keep_deinit(&k);
    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_int_equal(n_records(&k), 0);
    assert_true(keep_batch_begin(&k, 7, 1));
    put_record(&k, '1');
    keep_commit(&k);
    assert_int_equal(n_records(&k), 1);
    keep_deinit(&k);
}

static int on_loss(void *ctx, const struct store_loss *l)
{
    if (slice_eq(l->what, SLICE_LIT("records")))
        *(uint64_t *)ctx += l->n;
    return 0;
}

static int on_lost_recording(void *ctx, const struct store_loss *l)
{
    if (slice_eq(l->what, SLICE_LIT("recordings")))
        *(uint64_t *)ctx += l->n;
    return 0;
}

static void without_a_store_all_goes_on_and_what_is_lost_is_told_later(void **state)
{
    uint64_t lost = 0, lost_recordings = 0;
    uint8_t version;
    struct keep k;

    keep_init(&k, NULL, dir, on_taken, on_status);
    keep_deinit(&k);
    version = version_read();
    version_write(250);
    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_int_equal(k.status, KEEP_FAILED);
    assert_true(k.detail[0] != '\0');
    assert_int_equal(n_status, 1); /* said once */
    for (uint64_t batch = 1; batch <= 3; batch++) {
        assert_true(keep_batch_begin(&k, 7, batch));
        put_record(&k, (char)('0' + batch));
        keep_batch_end(&k);
        keep_commit(&k);
        assert_int_equal(told, batch); /* the gateway need not hold them */
    }
    keep_capture(&k, &(struct store_capture){.function = SLICE_LIT("f")});
    assert_int_equal(k.lost.recordings, 1);
    assert_false(keep_batch_begin(&k, 7, 3));
    assert_int_equal(k.lost_ever.records, 3);
    assert_int_equal(n_status, 1);
    assert_int_equal(version_read(), 250); /* nobody has touched it */

    version_write(version); /* somebody has mended it */
    k.retry_ns = 0;
    assert_true(keep_batch_begin(&k, 7, 4));
    put_record(&k, '4');
    keep_commit(&k);
    assert_int_equal(k.status, KEEP_OK);
    assert_int_equal(n_records(&k), 1);
    assert_int_equal(k.lost.records, 0);
    assert_int_equal(store_losses(keep_store(&k), 0, on_loss, &lost), 0);
    assert_int_equal(lost, 3);
    assert_int_equal(store_losses(keep_store(&k), 0, on_lost_recording, &lost_recordings), 0);
    assert_int_equal(lost_recordings, 1);
    keep_deinit(&k);
}

static void a_damaged_store_is_put_aside_and_said(void **state)
{
    FILE *f = fopen(path_of(STORE_NAME), "we");
    struct keep k;

    assert_non_null(f);
    for (int i = 0; i < 10000; i++)
        (void)fputs("no database ", f);
    (void)fclose(f);
    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_int_equal(k.status, KEEP_OK);
    assert_non_null(strstr(k.detail, ".corrupt-"));
    assert_true(keep_batch_begin(&k, 7, 1));
    put_record(&k, '1');
    keep_commit(&k);
    assert_int_equal(n_records(&k), 1);
    keep_deinit(&k);
}

static void what_the_gateway_lost_is_stored(void **state)
{
    uint64_t lost = 0;
    struct keep k;

    keep_init(&k, NULL, dir, on_taken, on_status);
    assert_true(keep_batch_begin(&k, 7, 1));
    keep_gateway_lost(&k, "records", 5);
    keep_batch_end(&k);
    keep_commit(&k);
    assert_int_equal(store_losses(keep_store(&k), 0, on_loss, &lost), 0);
    assert_int_equal(lost, 5);
    keep_deinit(&k);
}

static void a_folder_that_is_not_there_is_no_end(void **state)
{
    struct keep k;

    keep_init(&k, NULL, "/nonexistent/folder", on_taken, on_status);
    assert_int_equal(k.status, KEEP_FAILED);
    assert_true(keep_batch_begin(&k, 7, 1));
    put_record(&k, '1');
    keep_batch_end(&k);
    keep_commit(&k);
    assert_int_equal(told, 1);
    assert_int_equal(k.lost_ever.records, 1);
    keep_deinit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_is_kept_once_and_told_when_it_stays, dir_make,
                                        dir_remove),
        cmocka_unit_test_setup_teardown(what_was_not_committed_comes_again, dir_make, dir_remove),
        cmocka_unit_test_setup_teardown(without_a_store_all_goes_on_and_what_is_lost_is_told_later,
                                        dir_make, dir_remove),
        cmocka_unit_test_setup_teardown(a_damaged_store_is_put_aside_and_said, dir_make,
                                        dir_remove),
        cmocka_unit_test_setup_teardown(what_the_gateway_lost_is_stored, dir_make, dir_remove),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_no_end, dir_make, dir_remove),
    };

    return cmocka_run_group_tests_name("control-keep", tests, NULL, NULL);
}
