/* Adds two integers, and takes its time over it. */

#include <mayfly.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct timespec pause_time = {.tv_sec = 3};

int mayfly_init(void)
{
    const char *text = getenv("SLEEP_SECONDS");
    char *end;
    double seconds;

    if (!text)
        return 0;
    seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0 && seconds < 1e6))
        return mayfly_fail(NULL, "BadSetting", "SLEEP_SECONDS is no number of seconds: %s", text);
    pause_time.tv_sec = (time_t)seconds;
    pause_time.tv_nsec = (long)((seconds - (double)pause_time.tv_sec) * 1e9);
    return 0;
}

/* Reads the integer at *text and moves *text behind it. Returns 0, EINVAL or ERANGE. */
static int read_integer(const char **text, long long *ret)
{
    const char *digits = *text + (**text == '-' || **text == '+');
    char *end;

    if (*digits < '0' || *digits > '9')
        return EINVAL;
    errno = 0;
    *ret = strtoll(*text, &end, 10);
    *text = end;
    return errno;
}

/* The same for a parameter's value: all of it. A '+' in a query means a blank, but "?a=+7" 7. */
static int read_value(const char *text, long long *ret)
{
    int wrong;

    text += *text == ' ';
    wrong = read_integer(&text, ret);
    return *text ? EINVAL : wrong;
}

/* From the path: /c/sleep_and_sum/1+2 */
static int read_pair(const char *text, long long values[2])
{
    int wrong = read_integer(&text, &values[0]), wrong_too;

    if (*text != '+')
        return EINVAL;
    text++;
    wrong_too = read_integer(&text, &values[1]);
    text += *text == '/';
    if (*text || wrong == EINVAL || wrong_too == EINVAL)
        return EINVAL;
    return wrong ? wrong : wrong_too;
}

/* From the query, whatever the names are: ?num1=1&num2=2 */
static int read_query(mayfly_request *request, long long values[2])
{
    int wrong = 0;

    if (mayfly_param_count(request) != 2)
        return EINVAL;
    for (size_t i = 0; i < 2 && wrong != EINVAL; i++) {
        const char *text;
        int this_one;

        (void)mayfly_param_at(request, i, NULL, &text);
        this_one = read_value(text, &values[i]);
        wrong = this_one ? this_one : wrong;
    }
    return wrong;
}

static int refuse(mayfly_response *response, const char *sentence)
{
    (void)mayfly_status(response, 400);
    return mayfly_puts(response, sentence);
}

int sleep_and_sum(mayfly_request *request, mayfly_response *response)
{
    static const char name[] = "/sleep_and_sum/";
    const char *pair = strstr(mayfly_path(request), name);
    long long values[2], sum;
    int wrong;

    pair = pair ? pair + strlen(name) : "";
    wrong = *pair ? read_pair(pair, values) : read_query(request, values);
    if (wrong == EINVAL)
        return refuse(response, "Please give two integers, as in /c/sleep_and_sum?num1=1&num2=2 "
                                "or /c/sleep_and_sum/1+2.\n");
    if (wrong || __builtin_add_overflow(values[0], values[1], &sum))
        return refuse(response, "Please give two integers that, like their sum, fit into 64 bits: "
                                "from -9223372036854775808 to 9223372036854775807.\n");
    (void)nanosleep(&pause_time, NULL);
    return mayfly_printf(response, "%lld", sum);
}
