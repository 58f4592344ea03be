/* The limits of a function, once: LIMIT(field, key, unit, min, max, default, text).
 *
 * `field` is a uint64_t of struct limits in the unit's base (ms, bytes, count); min, max and default
 * are in that base too. `key` is its name in mayfly.json, where LIMIT_SECONDS are numbers of seconds
 * (fractions allowed) and LIMIT_MEGABYTES whole numbers of 2^20 bytes. Feeds the validation, the
 * JSON Schema, `mayfly.json`'s reference and the error messages. */

LIMIT(timeout_ms, "timeout", LIMIT_SECONDS, 10, 900000, 30000,
      "longest run of one request")
LIMIT(memory_bytes, "memory", LIMIT_MEGABYTES, 16 * MIB, 64 * 1024 * MIB, 128 * MIB,
      "memory of one worker")
LIMIT(concurrency, "concurrency", LIMIT_COUNT, 1, 10000, 1000,
      "workers that may carry out requests at once")
LIMIT(queue_max, "queue", LIMIT_COUNT, 0, 100000, 1000,
      "requests that may wait for a worker at once")
LIMIT(queue_timeout_ms, "queue_timeout", LIMIT_SECONDS, 0, 900000, 10000,
      "longest wait for a worker, then 503")
LIMIT(rate, "rate", LIMIT_COUNT, 0, 1000000, 0,
      "requests per second, then 429; 0 is no limit")
LIMIT(burst, "burst", LIMIT_COUNT, 0, 1000000, 0,
      "requests let through at once above the rate; 0 means as many as the rate")
LIMIT(standby_max, "standby", LIMIT_COUNT, 0, 256, 16,
      "most workers kept ready ahead of need; 0 forks on request")
LIMIT(standby_idle_ms, "standby_idle", LIMIT_SECONDS, 100, 86400000, 30000,
      "quiet time after which the standbys go")
LIMIT(zygote_idle_ms, "zygote_idle", LIMIT_SECONDS, 100, 86400000, 300000,
      "quiet time after which the zygote goes: nothing is left running")
LIMIT(init_timeout_ms, "init_timeout", LIMIT_SECONDS, 100, 900000, 30000,
      "longest time to load the function")
LIMIT(body_max, "body", LIMIT_MEGABYTES, 0, 64 * 1024 * MIB, 100 * MIB,
      "largest request body, then 413")
