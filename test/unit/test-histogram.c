/* A histogram keeps each value within 1/32 of what it was, adds up with others, and is the same
 * after it was packed; bytes that it would not have written are refused. */

#include "model/histogram.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define VALUE_MAX ((1ull << 40) - 1)

static struct histogram a, b, c;

static int setup(void **unused)
{
    (void)unused;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&c, 0, sizeof(c));
    return 0;
}

static void check_value(uint64_t v)
{
    uint64_t back;
    double error;

    memset(&a, 0, sizeof(a));
    histogram_add(&a, v);
    back = histogram_quantile(&a, 500);
    error = (double)back - (double)v;
    if ((error < 0 ? -error : error) * 32 > (double)v)
        fail_msg("%llu became %llu", (unsigned long long)v, (unsigned long long)back);
}

static void test_each_value_is_kept_within_a_32nd(void **unused)
{
    for (uint64_t v = 0; v < 100000; v++)
        check_value(v);
    for (unsigned power = 17; power < 40; power++) {
        for (int d = -3; d <= 3; d++)
            check_value((1ull << power) + (uint64_t)d);
    }
    check_value(VALUE_MAX);
    for (uint64_t v = 0; v < 32; v++) {
        memset(&a, 0, sizeof(a));
        histogram_add(&a, v);
        assert_int_equal(histogram_quantile(&a, 500), v);
    }
}

static void test_buckets_lie_side_by_side(void **unused)
{
    assert_int_equal(histogram_low(0), 0);
    for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++)
        assert_int_equal(histogram_low(i), histogram_high(i - 1));
    assert_int_equal(histogram_high(HISTOGRAM_BUCKETS - 1), VALUE_MAX + 1);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        memset(&a, 0, sizeof(a));
        histogram_add(&a, histogram_low(i));
        histogram_add(&a, histogram_high(i) - 1);
        assert_int_equal(a.buckets[i], 2);
    }
}

static void test_what_is_longer_than_12_days_counts_as_that(void **unused)
{
    histogram_add(&a, VALUE_MAX + 1);
    histogram_add(&a, UINT64_MAX);
    assert_int_equal(a.buckets[HISTOGRAM_BUCKETS - 1], 2);
}

static void test_quantiles_are_those_of_the_sorted_values(void **unused)
{
    assert_int_equal(histogram_quantile(&a, 500), 0);
    for (uint64_t v = 1; v <= 20; v++)
        histogram_add(&a, v);
    assert_int_equal(histogram_quantile(&a, 0), 1);
    assert_int_equal(histogram_quantile(&a, 500), 10);
    assert_int_equal(histogram_quantile(&a, 900), 18);
    assert_int_equal(histogram_quantile(&a, 901), 19);
    assert_int_equal(histogram_quantile(&a, 999), 20);
    assert_int_equal(histogram_quantile(&a, 1000), 20);
    assert_int_equal(histogram_quantile(&a, 5000), 20);
}

static void test_two_add_up_to_that_of_all_values(void **unused)
{
    for (uint64_t v = 1; v < 10000000; v = v * 9 / 8 + 1) {
        histogram_add(v % 2 ? &a : &b, v);
        histogram_add(&c, v);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &c, sizeof(a));
}

static void test_counts_do_not_wrap_around(void **unused)
{
    a.buckets[3] = UINT64_MAX - 1;
    b.buckets[3] = 5;
    b.buckets[4] = UINT64_MAX;
    histogram_merge(&a, &b);
    assert_int_equal(a.buckets[3], UINT64_MAX);
    assert_int_equal(histogram_count(&a), UINT64_MAX);
    assert_int_equal(histogram_quantile(&a, 500), 3);
}

static void check_packed(const struct histogram *h)
{
    struct buf bytes = BUF_INIT(HISTOGRAM_BYTES_MAX);

    memset(&c, 0, sizeof(c));
    assert_int_equal(histogram_encode(h, &bytes), 0);
    assert_int_equal(histogram_decode(buf_slice(&bytes), &c), 0);
    assert_memory_equal(h, &c, sizeof(c));
    /* Decoding adds to what is there. */
    b = *h;
    histogram_merge(&b, h);
    assert_int_equal(histogram_decode(buf_slice(&bytes), &c), 0);
    assert_memory_equal(&b, &c, sizeof(c));
    buf_deinit(&bytes);
}

static void test_packed_and_back_it_is_the_same(void **unused)
{
    check_packed(&a);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        a.buckets[i] = UINT64_MAX;
    check_packed(&a);
    memset(&a, 0, sizeof(a));
    a.buckets[HISTOGRAM_BUCKETS - 1] = 1;
    check_packed(&a);
    a.buckets[0] = 128;
    check_packed(&a);
}

static void test_an_empty_one_takes_no_bytes(void **unused)
{
    struct buf bytes = BUF_INIT(HISTOGRAM_BYTES_MAX);

    assert_int_equal(histogram_encode(&a, &bytes), 0);
    assert_int_equal(buf_len(&bytes), 0);
    buf_deinit(&bytes);
}

static void test_bytes_that_nobody_wrote_are_refused_whole(void **unused)
{
    static const struct {
        const char *what;
        struct slice bytes;
    } bad[] = {
        {"another format", SLICE_LIT("\x02\x00\x01")},
        {"nothing behind the format", SLICE_LIT("\x01")},
        {"no count", SLICE_LIT("\x01\x00")},
        {"a count of 0", SLICE_LIT("\x01\x00\x00")},
        {"a bucket behind the last", SLICE_LIT("\x01\xd0\x04\x01")},
        {"the second behind the last", SLICE_LIT("\x01\xcf\x04\x01\x00\x01")},
        {"a number that goes on", SLICE_LIT("\x01\x00\x81")},
        {"a number with a useless byte", SLICE_LIT("\x01\x00\x81\x00")},
        {"a number of 65 bits", SLICE_LIT("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")},
        {"a number of 11 bytes", SLICE_LIT("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
        {"good, then bad", SLICE_LIT("\x01\x00\x01\x00\x00")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (histogram_decode(bad[i].bytes, &a) != -EBADMSG)
            fail_msg("%s was taken", bad[i].what);
        assert_int_equal(histogram_count(&a), 0);
    }
    assert_int_equal(histogram_decode(SLICE_LIT("\x01\xcf\x04\x01"), &a), 0);
    assert_int_equal(a.buckets[HISTOGRAM_BUCKETS - 1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_value_is_kept_within_a_32nd, setup),
        cmocka_unit_test_setup(test_buckets_lie_side_by_side, setup),
        cmocka_unit_test_setup(test_what_is_longer_than_12_days_counts_as_that, setup),
        cmocka_unit_test_setup(test_quantiles_are_those_of_the_sorted_values, setup),
        cmocka_unit_test_setup(test_two_add_up_to_that_of_all_values, setup),
        cmocka_unit_test_setup(test_counts_do_not_wrap_around, setup),
        cmocka_unit_test_setup(test_packed_and_back_it_is_the_same, setup),
        cmocka_unit_test_setup(test_an_empty_one_takes_no_bytes, setup),
        cmocka_unit_test_setup(test_bytes_that_nobody_wrote_are_refused_whole, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
