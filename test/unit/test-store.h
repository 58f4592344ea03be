#pragma once

/* A store in a folder of its own, and records to put into it. Included by the tests of src/store.
 */

#include "store/store.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_US 1000000ull
#define DAY_US    RETENTION_DAY_US
#define T0        1704067200000000ull /* a midnight that is long over: 2024-01-01 */

static char folder[PATH_MAX];
static struct store *store;

_unused_ static const char *at(const char *file)
{
    static char path[PATH_MAX + 256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    return path;
}

_unused_ static void open_again(void)
{
    struct error err = ERROR_NULL;

    store = store_free(store);
    if (store_open(at(STORE_NAME), 0, &store, &err) < 0)
        fail_msg("%s", err.text);
}

_unused_ static int store_setup(void **unused)
{
    (void)unused;
    (void)strcpy(folder, "/tmp/mayfly-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    open_again();
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

_unused_ static int store_teardown(void **unused)
{
    (void)unused;
    store = store_free(store);
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The id of the n-th request of a moment. Valid until the eighth call after. */
_unused_ static struct slice id_at(uint64_t time_us, unsigned n)
{
    static char ids[8][REQUEST_ID_LEN + 1];
    static unsigned next;
    char *id = ids[next++ % 8];
    uint64_t ms = time_us / 1000;

    (void)snprintf(id, REQUEST_ID_LEN + 1, "%08x-%04x-7000-8000-%012x", (unsigned)(ms >> 16),
                   (unsigned)(ms & 0xffff), n);
    return slice(id, REQUEST_ID_LEN);
}

_unused_ static struct record record_at(uint64_t time_us, unsigned n)
{
    return (struct record){
        .request_id = id_at(time_us, n),
        .function = SLICE_LIT("hello"),
        .version = SLICE_LIT("v1"),
        .method = SLICE_LIT("GET"),
        .path = SLICE_LIT("/hello"),
        .start_us = time_us,
        .status = 200,
        .total_ns = 2000000,
        .run_ns = 1500000,
        .wait_ns = 100000,
        .memory_limit_bytes = 128 * MIB,
    };
}

_unused_ static void add(const struct record *r)
{
    assert_int_equal(store_add_record(store, r), 0);
}

_unused_ static void commit(void)
{
    int r = store_commit(store);

    if (r != 0)
        fail_msg("%s", store_error(store));
}
