#include "cli/show.h"

#include "base/clock.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <time.h>

typedef unsigned long long ull;

char *show_us(uint64_t us, char dst[static SHOW_SIZE])
{
    double ms = (double)us / 1e3, s = (double)us / 1e6;

    if (us < 1000)
        (void)snprintf(dst, SHOW_SIZE, "%lluus", (ull)us);
    else if (us < 9995)
        (void)snprintf(dst, SHOW_SIZE, "%.2fms", ms);
    else if (us < 99950)
        (void)snprintf(dst, SHOW_SIZE, "%.1fms", ms);
    else if (us < 999500)
        (void)snprintf(dst, SHOW_SIZE, "%.0fms", ms);
    else if (us < 59950 * 1000ULL)
        (void)snprintf(dst, SHOW_SIZE, us < 9995 * 1000ULL ? "%.2fs" : "%.1fs", s);
    else
        return show_age_ms(us / 1000, dst);
    return dst;
}

char *show_bytes(uint64_t bytes, char dst[static SHOW_SIZE])
{
    static const char units[] = "BKMGTPE";
    double value = (double)bytes;
    size_t i = 0;

    for (; value >= 999.5 && i + 2 < sizeof units; i++)
        value /= 1024;
    (void)snprintf(dst, SHOW_SIZE, i > 0 && value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[i]);
    return dst;
}

char *show_age_ms(uint64_t ms, char dst[static SHOW_SIZE])
{
    uint64_t s = ms / 1000;

    if (s < 1)
        (void)snprintf(dst, SHOW_SIZE, "%llums", (ull)ms);
    else if (s < 60)
        (void)snprintf(dst, SHOW_SIZE, "%llu.%llus", (ull)s, (ull)(ms % 1000 / 100));
    else if (s < 3600)
        (void)snprintf(dst, SHOW_SIZE, "%llum%02llus", (ull)(s / 60), (ull)(s % 60));
    else if (s < 86400)
        (void)snprintf(dst, SHOW_SIZE, "%lluh%02llum", (ull)(s / 3600), (ull)(s / 60 % 60));
    else
        (void)snprintf(dst, SHOW_SIZE, "%llud%02lluh", (ull)(s / 86400), (ull)(s / 3600 % 24));
    return dst;
}

static bool local_time(uint64_t us, struct tm *ret)
{
    time_t t = (time_t)(us / US_PER_S);

    return localtime_r(&t, ret) != NULL;
}

char *show_clock(uint64_t us, char dst[static SHOW_SIZE])
{
    struct tm tm;

    dst[0] = '\0';
    if (local_time(us, &tm))
        (void)snprintf(dst, SHOW_SIZE, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
                       (unsigned)(us / 1000 % 1000));
    return dst;
}

char *show_moment(uint64_t us, char dst[static SHOW_SIZE])
{
    char clock[SHOW_SIZE];
    struct tm tm;

    dst[0] = '\0';
    if (local_time(us, &tm))
        (void)snprintf(dst, SHOW_SIZE, "%04d-%02d-%02d %.20s", tm.tm_year + 1900, tm.tm_mon + 1,
                       tm.tm_mday, show_clock(us, clock));
    return dst;
}

char *show_nano(int64_t nano, int decimals, char dst[static SHOW_SIZE])
{
    (void)snprintf(dst, SHOW_SIZE, "%.*Lf", decimals, (long double)nano / 1e9L);
    return dst;
}

bool show_same_day(uint64_t a_us, uint64_t b_us)
{
    struct tm a, b;

    return local_time(a_us, &a) && local_time(b_us, &b) && a.tm_year == b.tm_year &&
           a.tm_yday == b.tm_yday;
}

bool show_has_utf8(void)
{
    (void)setlocale(LC_CTYPE, ""); /* where it fails the C locale stays: ASCII */
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
