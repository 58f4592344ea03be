/* What the tests of HTTP need of a function, by the path. */

#include <mayfly.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_FD 3

/* ---- SHA-256 (FIPS 180-4) ---- */

struct sha256 {
    uint32_t h[8];
    unsigned char block[64];
    uint64_t len;
};

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(struct sha256 *s)
{
    uint32_t w[64], v[8];

    for (int i = 0; i < 16; i++) {
        const unsigned char *b = s->block + 4 * i;

        w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    }
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, s->h, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                      ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
        uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
}

static void sha256_add(struct sha256 *s, const void *data, size_t len)
{
    const unsigned char *p = data;

    while (len > 0) {
        size_t at = s->len % 64, n = 64 - at < len ? 64 - at : len;

        memcpy(s->block + at, p, n);
        s->len += n;
        p += n;
        len -= n;
        if (s->len % 64 == 0)
            sha256_block(s);
    }
}

static void sha256_hex(struct sha256 *s, char dst[65])
{
    uint64_t bits = s->len * 8;
    unsigned char length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(s, "\x80", 1);
    while (s->len % 64 != 56)
        sha256_add(s, "", 1);
    sha256_add(s, length, 8);
    for (int i = 0; i < 8; i++)
        (void)snprintf(dst + 8 * i, 9, "%08x", s->h[i]);
}

/* ---- the functions ---- */

static char buffer[65536];

static const char *param(mayfly_request *request, const char *name)
{
    const char *value = mayfly_param(request, name);

    return value ? value : "";
}

/* How many bytes came, and their SHA-256. ?sleep=MS waits before it reads. */
static int count(mayfly_request *request, mayfly_response *response)
{
    struct sha256 s = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                             0x1f83d9ab, 0x5be0cd19}};
    unsigned long long total = 0;
    char hex[65];
    ssize_t n;

    (void)usleep((useconds_t)atoi(param(request, "sleep")) * 1000);
    while ((n = mayfly_read(request, buffer, sizeof(buffer))) > 0) {
        sha256_add(&s, buffer, (size_t)n);
        total += (unsigned long long)n;
    }
    if (n < 0)
        return mayfly_fail(response, "ReadFailed", "%m after %llu bytes", total);
    sha256_hex(&s, hex);
    return mayfly_printf(response, "%llu %s", total, hex);
}

/* ?n=BYTES of the byte 's', with ?length=1 announced. */
static int source(mayfly_request *request, mayfly_response *response)
{
    unsigned long long n = strtoull(param(request, "n"), NULL, 10);

    memset(buffer, 's', sizeof(buffer));
    if (*param(request, "length") && mayfly_set_length(response, n) < 0)
        return -1;
    while (n > 0) {
        size_t piece = n < sizeof(buffer) ? (size_t)n : sizeof(buffer);

        if (mayfly_write(response, buffer, piece) < 0)
            return 1;
        n -= piece;
    }
    return 0;
}

/* Each piece goes back as it comes. */
static int echo(mayfly_request *request, mayfly_response *response)
{
    ssize_t n;

    if (mayfly_flush(response) < 0)
        return 1;
    while ((n = mayfly_read(request, buffer, sizeof(buffer))) > 0) {
        if (mayfly_write(response, buffer, (size_t)n) < 0 || mayfly_flush(response) < 0)
            return 1;
    }
    return n < 0;
}

static void write_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(REQUEST_FD, data, len);

        if (n <= 0)
            _exit(9);
        data += n;
        len -= (size_t)n;
    }
}

/* After the 101 every byte goes back, until a '.' or the end. ?more=N sends N bytes at its end. */
static int tunnel(mayfly_request *request, mayfly_response *response)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               "Upgrade: echo\r\nX-Own: 1\r\n\r\n";
    long more = atol(param(request, "more"));
    ssize_t n;

    write_all(head, sizeof(head) - 1);
    while ((n = read(REQUEST_FD, buffer, sizeof(buffer))) > 0) {
        write_all(buffer, (size_t)n);
        if (memchr(buffer, '.', (size_t)n))
            break;
    }
    memset(buffer, 'm', sizeof(buffer));
    for (; more > 0; more -= (long)sizeof(buffer))
        write_all(buffer, more < (long)sizeof(buffer) ? (size_t)more : sizeof(buffer));
    _exit(0);
}

/* The request's body, byte for byte, is what the gateway gets. Then: ?then=exit (0), hang, close. */
static int raw(mayfly_request *request, mayfly_response *response)
{
    const char *then = param(request, "then");
    size_t len;
    const char *bytes = mayfly_body(request, &len);

    if (!bytes)
        return -1;
    write_all(bytes, len);
    if (strcmp(then, "close") == 0)
        (void)close(REQUEST_FD);
    if (*then)
        (void)pause();
    _exit(0);
}

/* Answers at once and begins to read the body only when it is told to by ?sleep=MS. */
static int late(mayfly_request *request, mayfly_response *response)
{
    ssize_t n;

    if (mayfly_puts(response, "early\n") < 0 || mayfly_flush(response) < 0)
        return 1;
    (void)usleep((useconds_t)atoi(param(request, "sleep")) * 1000);
    while ((n = mayfly_read(request, buffer, sizeof(buffer))) > 0)
        ;
    return n < 0 ? 1 : mayfly_puts(response, "done\n");
}

int serve(mayfly_request *request, mayfly_response *response)
{
    static const struct {
        const char *path;
        mayfly_handler *handler;
    } paths[] = {{"/source", source}, {"/echo", echo}, {"/tunnel", tunnel},
                 {"/raw", raw},       {"/late", late}};

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (strcmp(mayfly_path(request), paths[i].path) == 0)
            return paths[i].handler(request, response);
    }
    return count(request, response);
}
