#include "cli/price.h"

#include "base/clock.h"
#include "json/text.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#define PRICE_MAX 1e6 /* above it somebody has slipped */
#define NANO      1e9L

static const struct {
    const char *key;
    size_t offset;
} prices[] = {
    {"per_request", offsetof(struct price, per_request)},
    {"per_gb_second", offsetof(struct price, per_gb_second)},
    {"per_cpu_second", offsetof(struct price, per_cpu_second)},
};

struct reading {
    struct slice text;
    const char *name;
    struct error *err;
};

static uint32_t line_of(const struct reading *r, const char *key)
{
    struct json_path path = {.key = key};

    return json_locate(r->text, &path);
}

static int take_price(const struct reading *r, const char *key, const json_t *value, double *ret)
{
    double number = json_number_value(value);

    if (!json_is_number(value))
        return error_set(r->err, -EINVAL, "%s:%u: %s is %s; write a number, like 0.0000002",
                         r->name, line_of(r, key), key, json_kind(value));
    if (!(number >= 0 && number <= PRICE_MAX))
        return error_set(r->err, -EINVAL, "%s:%u: %s must be from 0 to %.0f", r->name,
                         line_of(r, key), key, PRICE_MAX);
    *ret = number;
    return 0;
}

/* Printable ASCII: it goes to a terminal, into columns. */
static int take_currency(const struct reading *r, const json_t *value, struct price *ret)
{
    struct slice text = slice_str(json_string_value(value));
    bool good = json_is_string(value) && text.len > 0 && text.len < sizeof ret->currency;

    for (size_t i = 0; good && i < text.len; i++)
        good = text.base[i] > 0x20 && text.base[i] < 0x7f;
    if (!good)
        return error_set(r->err, -EINVAL,
                         "%s:%u: currency must be a word of at most %zu letters, like \"EUR\"",
                         r->name, line_of(r, "currency"), sizeof ret->currency - 1);
    memcpy(ret->currency, text.base, text.len);
    return 0;
}

static int take_member(const struct reading *r, const char *key, const json_t *value,
                       struct price *ret, unsigned *n)
{
    if (strcmp(key, "currency") == 0)
        return take_currency(r, value, ret);
    for (size_t i = 0; i < ARRAY_SIZE(prices); i++) {
        if (strcmp(key, prices[i].key) == 0) {
            ++*n;
            return take_price(r, key, value, (double *)((char *)ret + prices[i].offset));
        }
    }
    return error_set(r->err, -EINVAL,
                     "%s:%u: no such key: %.64s; there are currency, per_request, per_gb_second, "
                     "per_cpu_second",
                     r->name, line_of(r, key), key);
}

int price_parse(struct slice text, const char *name, struct price *ret, struct error *err)
{
    struct reading reading = {.text = text, .name = name, .err = err};
    struct price price = {0};
    json_t *root = NULL, *value;
    unsigned n = 0;
    const char *key;
    int r;

    r = json_text_load(text, name, &root, err);
    if (r < 0)
        return r;
    if (!json_is_object(root))
        r = error_set(err, -EINVAL, "%s:1: a list; write an object, like {\"per_request\": 1e-6}",
                      name);
    json_object_foreach(root, key, value)
    {
        r = r ?: take_member(&reading, key, value, &price, &n);
    }
    if (r == 0 && n == 0)
        r = error_set(err, -EINVAL,
                      "%s:1: no price; give one of per_request, per_gb_second, "
                      "per_cpu_second",
                      name);
    if (r == 0)
        *ret = price;
    json_decref(root);
    return r;
}

int price_load(const char *path, struct price *ret, struct error *err)
{
    struct buf text = BUF_INIT(PRICE_FILE_MAX);
    json_t *root = NULL;
    int r = json_file_load(path, path, &text, &root, err);

    if (r == 0)
        r = price_parse(buf_slice(&text), path, ret, err);
    json_decref(root);
    buf_deinit(&text);
    return r;
}

static int64_t cost(double price, long double amount)
{
    long double nano = (long double)price * amount * NANO;

    return nano >= 9.2e18L ? INT64_MAX / 4 : (int64_t)llroundl(nano);
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

struct price_sum price_of(const struct price *price, const struct price_use *use)
{
    struct price_sum sum = {
        .requests = cost(price->per_request, (long double)use->requests),
        .memory = cost(price->per_gb_second, (long double)use->gb_us / US_PER_S),
        .cpu = cost(price->per_cpu_second, (long double)use->cpu_us / US_PER_S),
    };

    sum.total = add(add(sum.requests, sum.memory), sum.cpu);
    return sum;
}

void price_add(struct price_sum *sum, const struct price_sum *more)
{
    sum->requests = add(sum->requests, more->requests);
    sum->memory = add(sum->memory, more->memory);
    sum->cpu = add(sum->cpu, more->cpu);
    sum->total = add(sum->total, more->total);
}
