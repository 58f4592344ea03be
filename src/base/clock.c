#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_wall_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / NS_PER_US;
}

char *clock_iso(uint64_t wall_us, char dst[static CLOCK_ISO_SIZE])
{
    time_t s = (time_t)(wall_us / US_PER_S);
    struct tm tm = {0};
    size_t n;

    (void)gmtime_r(&s, &tm);
    n = strftime(dst, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(dst + n, CLOCK_ISO_SIZE - n, ".%06uZ", (unsigned)(wall_us % US_PER_S));
    return dst;
}

char *clock_http(uint64_t wall_us, char dst[static CLOCK_HTTP_SIZE])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t s = (time_t)(wall_us / US_PER_S);
    struct tm tm = {0};

    /* strftime would follow the locale. */
    (void)gmtime_r(&s, &tm);
    (void)snprintf(dst, CLOCK_HTTP_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                   days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100u, months[tm.tm_mon % 12],
                   (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
                   (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
    return dst;
}
