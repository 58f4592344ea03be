/* The limits of a function, once: LIMIT(field, key, unit, min, max, default, text).
 *
 * `field` is a uint64_t of struct limits in the unit's base (ms, bytes, count); min, max and
 * default are in that base too. `key` is its name in mayfly.json, where LIMIT_SECONDS are numbers
 * of seconds (fractions allowed), LIMIT_CPUS numbers of CPUs (fractions allowed, kept in
 * thousandths) and LIMIT_MEGABYTES whole numbers of 2^20 bytes. Feeds the validation, the JSON
 * Schema, `mayfly.json`'s reference and the error messages. */

LIMIT(timeout_ms, "timeout", LIMIT_SECONDS, 10, 900000, 30000, "longest run of one request")
LIMIT(memory_bytes, "memory", LIMIT_MEGABYTES, 16 * MIB, 64 * 1024 * MIB, 128 * MIB,
      "memory of one worker")
LIMIT(concurrency, "concurrency", LIMIT_COUNT, 1, 10000, 1000,
      "workers that may carry out requests at once")
LIMIT(queue_max, "queue", LIMIT_COUNT, 0, 100000, 1000,
      "requests that may wait for a worker at once")
LIMIT(queue_timeout_ms, "queue_timeout", LIMIT_SECONDS, 0, 900000, 10000,
      "longest wait for a worker, then 503")
LIMIT(rate, "rate", LIMIT_COUNT, 0, 1000000, 0, "requests per second, then 429; 0 is no limit")
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
LIMIT(response_max, "response", LIMIT_MEGABYTES, 1 * MIB, 64 * 1024 * MIB, 1024 * MIB,
      "largest response body")
LIMIT(cpu_milli, "cpu", LIMIT_CPUS, 0, 1024000, 0,
      "CPUs that all its processes together may use; 0 is no limit")
LIMIT(cpu_time_ms, "cpu_time", LIMIT_SECONDS, 0, 900000, 0,
      "CPU time of one request; 0 is no limit")
LIMIT(processes, "processes", LIMIT_COUNT, 1, 32768, 64,
      "processes and threads that one request may have at once")
LIMIT(files, "files", LIMIT_COUNT, 16, 1048576, 1024, "files that a process may have open")
LIMIT(file_size, "file_size", LIMIT_MEGABYTES, 1 * MIB, 64 * 1024 * MIB, 512 * MIB,
      "largest file that can be written")
LIMIT(tmp_bytes, "tmp", LIMIT_MEGABYTES, 0, 64 * 1024 * MIB, 64 * MIB,
      "size of a request's own /tmp; 0 is none, which costs less")
LIMIT(tmp_inodes, "tmp_files", LIMIT_COUNT, 16, 1000000, 4096,
      "files and folders in a request's own /tmp")
LIMIT(recording_bytes, "recording", LIMIT_COUNT, 0, 40960, 0,
      "bytes of each request's and answer's body that are kept to replay it; 0 records nothing")
LIMIT(log_bytes, "log", LIMIT_MEGABYTES, 1 * MIB, 1024 * MIB, 1 * MIB,
      "output of one request that is kept; what is beyond is counted")
