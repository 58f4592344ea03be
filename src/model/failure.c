#include "model/failure.h"

static const struct {
    unsigned status;
    const char *type;
} statuses[] = {
    {400, "BadRequest"},         {401, "Unauthorized"},     {403, "Forbidden"},
    {404, "NotFound"},           {405, "MethodNotAllowed"}, {408, "RequestTimeout"},
    {413, "BodyTooLarge"},       {414, "UriTooLong"},       {417, "ExpectationFailed"},
    {421, "MisdirectedRequest"}, {429, "TooManyRequests"},  {431, "HeadersTooLarge"},
    {501, "NotImplemented"},     {503, "Unavailable"},      {505, "VersionNotSupported"},
};

/* NULL: the status says it. */
static const char *const outcomes[_OUTCOME_MAX] = {
    [OUTCOME_OK] = NULL,
    [OUTCOME_ERROR] = "FunctionError",
    [OUTCOME_TIMEOUT] = "Timeout",
    [OUTCOME_CRASH] = "Crash",
    [OUTCOME_BAD_REPLY] = "BadReply",
    [OUTCOME_INIT] = "LoadError",
    [OUTCOME_HANGUP] = "ClientGone",
    [OUTCOME_BAD_REQUEST] = NULL,
    [OUTCOME_THROTTLED] = "TooManyRequests",
    [OUTCOME_UNAVAILABLE] = "Unavailable",
};

const char *failure_type_of_status(unsigned status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].type;
    }
    return status < 500 ? "BadRequest" : "Unavailable";
}

const char *failure_type(enum outcome outcome, unsigned status, enum limit_hit limit)
{
    assert((unsigned)outcome < _OUTCOME_MAX);
    if (limit != LIMIT_HIT_NONE)
        return limit_hit_type(limit);
    return outcomes[outcome] ? outcomes[outcome] : failure_type_of_status(status);
}
