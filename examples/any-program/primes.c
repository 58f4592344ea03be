/* A CGI program in C: the prime numbers below the number in the query, "?1000". */

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_MAX 1000000

static char composite[LIMIT_MAX];

int main(void)
{
    const char *query = getenv("QUERY_STRING");
    char *end;
    long limit = strtol(query && *query ? query : "100", &end, 10);

    if (*end || limit < 0 || limit > LIMIT_MAX) {
        printf("Status: 400\n\nPlease give a number up to %d, as in /primes?100.\n", LIMIT_MAX);
        return 0;
    }
    printf("Content-Type: text/plain\n\n");
    for (long n = 2; n < limit; n++) {
        if (composite[n])
            continue;
        printf("%ld\n", n);
        for (long multiple = n * n; multiple < limit; multiple += n)
            composite[multiple] = 1;
    }
    return 0;
}
