#include "otlp/send.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define DISCARD_BYTES_MAX (4 * 1024 * 1024) /* of an answer, until it is broken off */
#define CONNECT_MS        10000
#define GZIP_WINDOW       (15 + 16) /* zlib: with gzip's frame */

static const char *const rejected_names[_QUEUE_SIGNAL_MAX] = {
    [QUEUE_TRACES] = "rejectedSpans",
    [QUEUE_LOGS] = "rejectedLogRecords",
};

struct transfer {
    CURL *easy;
    bool active;
    unsigned char *packed; /* gzip of the body */
    struct buf answer;
    size_t n_seen; /* bytes of the answer */
    char error[CURL_ERROR_SIZE];
};

struct sender {
    const struct otlp_settings *settings;
    CURLM *multi;
    struct curl_slist *headers;
    struct transfer transfers[_QUEUE_SIGNAL_MAX];
};

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;

    n *= size;
    t->n_seen += n;
    if (t->n_seen > DISCARD_BYTES_MAX)
        return 0;
    (void)buf_append(&t->answer, data, MIN(n, buf_room(&t->answer)));
    return n;
}

static int add_header(struct sender *s, const char *name, const char *value)
{
    struct curl_slist *list;
    char *line;

    if (asprintf(&line, "%s: %s", name, value) < 0)
        return -ENOMEM;
    list = curl_slist_append(s->headers, line);
    free(line);
    if (!list)
        return -ENOMEM;
    s->headers = list;
    return 0;
}

static int make_headers(struct sender *s)
{
    int r = add_header(s, "Content-Type", "application/json");

    if (r == 0 && s->settings->gzip)
        r = add_header(s, "Content-Encoding", "gzip");
    if (r == 0)
        r = add_header(s, "Expect", ""); /* else curl waits a second for a 100 */
    for (unsigned i = 0; i < s->settings->n_headers && r == 0; i++)
        r = add_header(s, s->settings->headers[i].name, s->settings->headers[i].value);
    return r;
}

static CURLcode set_up(struct sender *s, struct transfer *t, const char *url, struct slice ca)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)ca.base, .len = ca.len, .flags = CURL_BLOB_COPY};
    CURLcode r = curl_easy_setopt(t->easy, CURLOPT_URL, url);

#define SET(option, value) r = r != CURLE_OK ? r : curl_easy_setopt(t->easy, option, value)
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* headers with tokens go where they were meant for */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_HTTPHEADER, s->headers);
    SET(CURLOPT_USERAGENT, "mayfly/" MAYFLY_VERSION);
    SET(CURLOPT_TIMEOUT_MS, (long)s->settings->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    if (ca.len > 0)
        SET(CURLOPT_CAINFO_BLOB, &blob);
#undef SET
    return r;
}

int sender_new(const struct otlp_settings *settings, struct slice ca, struct sender **ret,
               struct error *err)
{
    struct sender *s = calloc(1, sizeof(*s));
    CURLcode code = CURLE_OK;
    int r;

    if (!s)
        return -ENOMEM;
    s->settings = settings;
    s->multi = curl_multi_init();
    r = s->multi ? make_headers(s) : -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(s->transfers) && r == 0; i++) {
        struct transfer *t = &s->transfers[i];

        buf_init(&t->answer, ANSWER_BYTES_MAX);
        t->easy = curl_easy_init();
        if (!t->easy)
            r = -ENOMEM;
        else
            code = set_up(s, t, settings->urls[i], ca);
        if (code != CURLE_OK)
            r = error_set(err, -EIO, "%s: %s", settings->urls[i], curl_easy_strerror(code));
    }
    if (r < 0) {
        (void)sender_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct sender *sender_free(struct sender *s)
{
    for (size_t i = 0; s && i < ARRAY_SIZE(s->transfers); i++) {
        struct transfer *t = &s->transfers[i];

        if (t->active)
            (void)curl_multi_remove_handle(s->multi, t->easy);
        curl_easy_cleanup(t->easy);
        free(t->packed);
        buf_deinit(&t->answer);
    }
    if (s) {
        curl_slist_free_all(s->headers);
        (void)curl_multi_cleanup(s->multi);
    }
    free(s);
    return NULL;
}

static int pack(struct slice body, unsigned char **ret, size_t *ret_len)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body.base, .avail_in = (uInt)body.len};
    int r = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    uLong bound;

    if (r != Z_OK)
        return -ENOMEM;
    bound = deflateBound(&z, (uLong)body.len);
    *ret = malloc(bound);
    z.next_out = *ret;
    z.avail_out = (uInt)bound;
    r = *ret ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
    *ret_len = z.total_out;
    (void)deflateEnd(&z);
    return r == Z_STREAM_END ? 0 : -ENOMEM;
}

int sender_post(struct sender *s, enum queue_signal signal, struct slice body)
{
    struct transfer *t = &s->transfers[signal];
    size_t len = body.len;
    int r = 0;

    assert(!t->active);
    buf_clear(&t->answer);
    t->n_seen = 0;
    t->error[0] = '\0';
    free(take_ptr(t->packed));
    if (s->settings->gzip)
        r = pack(body, &t->packed, &len);
    if (r < 0)
        return r;
    if (curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len) != CURLE_OK ||
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                         t->packed ? (const char *)t->packed : body.base) != CURLE_OK ||
        curl_multi_add_handle(s->multi, t->easy) != CURLM_OK)
        return -EIO;
    t->active = true;
    return 0;
}

void sender_wait(struct sender *s, int fd, int timeout_ms)
{
    struct curl_waitfd wait = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int running;

    (void)curl_multi_perform(s->multi, &running);
    (void)curl_multi_poll(s->multi, &wait, fd >= 0 ? 1 : 0, timeout_ms, NULL);
    (void)curl_multi_perform(s->multi, &running);
}

static void read_result(struct transfer *t, CURLcode code, struct sender_result *ret)
{
    curl_off_t retry_after_s = 0;
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    ret->retry_after_ms = retry_after_s > 0 ? (uint64_t)MIN(retry_after_s, 86400) * 1000 : 0;
    ret->rejected = 0;
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && status >= 200)) {
        ret->answer = otlp_answer_read(status, buf_slice(&t->answer), rejected_names[ret->signal],
                                       &ret->rejected, ret->why);
        return;
    }
    /* Whether it has arrived is not known; spans that come twice have the same ids. */
    ret->answer = ANSWER_RETRY;
    (void)snprintf(ret->why, sizeof(ret->why), "%s",
                   t->error[0] ? t->error : curl_easy_strerror(code));
}

bool sender_next(struct sender *s, struct sender_result *ret)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(s->multi, &left))) {
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        ret->signal = m->easy_handle == s->transfers[QUEUE_TRACES].easy ? QUEUE_TRACES : QUEUE_LOGS;
        (void)curl_multi_remove_handle(s->multi, m->easy_handle); /* m is gone from here on */
        s->transfers[ret->signal].active = false;
        read_result(&s->transfers[ret->signal], code, ret);
        return true;
    }
    return false;
}
