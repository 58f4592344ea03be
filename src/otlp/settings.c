#include "otlp/settings.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ATTRIBUTES_BYTES_MAX 4096 /* each function of a batch has them once */
#define TIMEOUT_MS           10000
#define TIMEOUT_MS_MAX       600000

static const char *const signal_names[] = {"TRACES", "LOGS"};
static const char *const signal_paths[] = {"v1/traces", "v1/logs"};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without blanks around it, and percent-decoded as W3C baggage is. NULL without memory, or if it
 * holds a control character, which would end a header. */
static char *decode(struct slice s)
{
    char *text, *to;

    s = slice_trim(s);
    text = to = malloc(s.len + 1);
    for (size_t i = 0; text && i < s.len; i++) {
        bool coded = s.base[i] == '%' && i + 2 < s.len && hex_digit(s.base[i + 1]) >= 0 &&
                     hex_digit(s.base[i + 2]) >= 0;
        unsigned char c =
            coded ? (unsigned char)(hex_digit(s.base[i + 1]) << 4 | hex_digit(s.base[i + 2]))
                  : (unsigned char)s.base[i];

        if (c < 0x20 || c == 0x7F) {
            free(text);
            return NULL;
        }
        *to++ = (char)c;
        i += coded ? 2 : 0;
    }
    if (text)
        *to = '\0';
    return text;
}

/* "name=value,name2=value2" */
static int read_pairs(struct slice text, const char *variable, struct otlp_pair *pairs, unsigned *n,
                      struct error *err)
{
    while (text.len > 0) {
        struct slice value = slice_cut(&text, ','), name;
        struct otlp_pair *p = &pairs[*n];

        if (slice_trim(value).len == 0)
            continue;
        if (!memchr(value.base, '=', value.len) || *n == OTLP_PAIRS_MAX)
            return error_set(err, -EINVAL, "%s: write it like name=value,name2=value2, at most %d",
                             variable, OTLP_PAIRS_MAX);
        name = slice_cut(&value, '=');
        *p = (struct otlp_pair){decode(name), decode(value)};
        ++*n;
        if (!p->name || !p->value || p->name[0] == '\0')
            return error_set(err, -EINVAL, "%s: a name is empty, or a value has control characters",
                             variable);
    }
    return 0;
}

/* A header's name is a token; what frames the request is ours. */
static bool is_header(const char *name)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    return strspn(name, token) == strlen(name) && strcasecmp(name, "content-length") != 0 &&
           strcasecmp(name, "transfer-encoding") != 0 && strcasecmp(name, "content-type") != 0 &&
           strcasecmp(name, "content-encoding") != 0;
}

/* A signal's own endpoint is taken as it is; to the common one its path is added. */
static int make_url(struct otlp_settings *s, int signal, const char *endpoint, const char *own,
                    struct error *err)
{
    size_t len = strlen(endpoint);
    int r;

    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    r = own ? asprintf(&s->urls[signal], "%s", own)
            : asprintf(&s->urls[signal], "%.*s/%s", (int)len, endpoint, signal_paths[signal]);
    if (r < 0) {
        s->urls[signal] = NULL;
        return -ENOMEM;
    }
    if (strncmp(s->urls[signal], "http://", 7) != 0 && strncmp(s->urls[signal], "https://", 8) != 0)
        return error_set(err, -EINVAL, "%s: not a http:// or https:// address", s->urls[signal]);
    return 0;
}

static int read_choices(struct otlp_settings *s, const char *(*get)(const char *),
                        struct error *err)
{
    const char *timeout = get("OTEL_EXPORTER_OTLP_TIMEOUT");
    const char *compression = get("OTEL_EXPORTER_OTLP_COMPRESSION");

    s->timeout_ms = TIMEOUT_MS;
    if (timeout && timeout[0] &&
        (parse_u64(slice_str(timeout), TIMEOUT_MS_MAX, &s->timeout_ms) < 0 || s->timeout_ms == 0))
        return error_set(err, -EINVAL, "OTEL_EXPORTER_OTLP_TIMEOUT: write milliseconds, up to %d",
                         TIMEOUT_MS_MAX);
    s->gzip = !compression || strcmp(compression, "none") != 0;
    if (compression && compression[0] && s->gzip && strcmp(compression, "gzip") != 0)
        return error_set(err, -EINVAL, "OTEL_EXPORTER_OTLP_COMPRESSION: gzip or none");
    return 0;
}

static int copy(const char *(*get)(const char *), const char *name, char **ret)
{
    const char *value = get(name);

    *ret = value && value[0] ? strdup(value) : NULL;
    return value && value[0] && !*ret ? -ENOMEM : 0;
}

int otlp_settings_read(struct otlp_settings *s, const char *endpoint,
                       const char *(*get)(const char *name), struct error *err)
{
    char name[64];
    int r;

    *s = (struct otlp_settings){.gzip = true};
    if (gethostname(s->host_name, sizeof(s->host_name) - 1) < 0)
        s->host_name[0] = '\0';
    r = read_choices(s, get, err);
    for (int i = 0; i < 2 && r == 0; i++) {
        (void)snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s_ENDPOINT", signal_names[i]);
        r = make_url(s, i, endpoint, get(name), err);
    }
    if (r == 0)
        r = read_pairs(slice_str(get("OTEL_EXPORTER_OTLP_HEADERS")), "OTEL_EXPORTER_OTLP_HEADERS",
                       s->headers, &s->n_headers, err);
    for (unsigned i = 0; i < s->n_headers && r == 0; i++) {
        if (!is_header(s->headers[i].name))
            r = error_set(err, -EINVAL, "OTEL_EXPORTER_OTLP_HEADERS: %s cannot be set",
                          s->headers[i].name);
    }
    if (r == 0 && slice_str(get("OTEL_RESOURCE_ATTRIBUTES")).len > ATTRIBUTES_BYTES_MAX)
        r = error_set(err, -EINVAL, "OTEL_RESOURCE_ATTRIBUTES: more than %d bytes",
                      ATTRIBUTES_BYTES_MAX);
    if (r == 0)
        r = read_pairs(slice_str(get("OTEL_RESOURCE_ATTRIBUTES")), "OTEL_RESOURCE_ATTRIBUTES",
                       s->attributes, &s->n_attributes, err);
    if (r == 0)
        r = copy(get, "OTEL_SERVICE_NAME", &s->service_name);
    if (r == 0)
        r = copy(get, "OTEL_EXPORTER_OTLP_CERTIFICATE", &s->ca_file);
    return r;
}

static void pairs_free(struct otlp_pair *pairs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
}

void otlp_settings_deinit(struct otlp_settings *s)
{
    pairs_free(s->headers, s->n_headers);
    pairs_free(s->attributes, s->n_attributes);
    free(s->urls[0]);
    free(s->urls[1]);
    free(s->service_name);
    free(s->ca_file);
    *s = (struct otlp_settings){0};
}
