/* The statements that are always the same: STATEMENT(name, sql). */

STATEMENT(BEGIN, "BEGIN IMMEDIATE")
STATEMENT(COMMIT, "COMMIT")
STATEMENT(STATE_SET, "UPDATE state SET last_record = ?1, last_log = ?2, folded_us = ?3, minutes_us "
                     "= ?4, hours_us = ?5")
STATEMENT(STATE_GET,
          "SELECT last_record, last_log, folded_us, minutes_us, hours_us,"
          " (SELECT max(number) FROM records), (SELECT max(number) FROM log_lines) FROM state")

STATEMENT(HAS_COLUMN, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")

STATEMENT(FUNCTION_GET, "SELECT id FROM functions WHERE name = ?1")
STATEMENT(FUNCTION_ADD, "INSERT INTO functions (name) VALUES (?1)")
STATEMENT(FUNCTION_COUNT, "UPDATE functions SET records = max(records + ?2, 0), log_lines = "
                          "max(log_lines + ?3, 0) WHERE id = ?1")
STATEMENT(VERSION_GET, "SELECT id FROM versions WHERE name = ?1 AND function_id = ?2")
STATEMENT(VERSION_FIND,
          "SELECT id, function_id FROM versions WHERE name = ?1 AND ?2 IN (0, function_id) LIMIT 2")
STATEMENT(VERSION_ADD, "INSERT INTO versions (name, function_id) VALUES (?1, ?2)")

STATEMENT(BATCH_GET, "SELECT batch FROM batches WHERE boot = ?1")
STATEMENT(BATCH_SET, "INSERT INTO batches (boot, batch, time_us) VALUES (?1, ?2, ?3) ON CONFLICT "
                     "(boot) DO UPDATE SET batch = ?2, time_us = ?3")
STATEMENT(BATCH_PRUNE, "DELETE FROM batches WHERE boot NOT IN (SELECT boot FROM batches ORDER BY "
                       "time_us DESC LIMIT 16)")

STATEMENT(
    LOG_GET,
    "SELECT l.time_us, l.request_id, f.name, v.name, l.stream, l.flags, l.text FROM log_lines l"
    " LEFT JOIN functions f ON f.id = l.function_id LEFT JOIN versions v ON v.id = l.version_id "
    "WHERE l.number = ?1")
STATEMENT(LOG_ADD, "INSERT INTO log_lines (number, time_us, request_id, function_id, version_id, "
                   "stream, flags, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")

STATEMENT(
    VERSION_COUNT,
    "UPDATE versions SET first_us = CASE WHEN invocations = 0 THEN ?2 ELSE min(first_us, ?2) END,"
    " last_us = max(last_us, ?3), invocations = invocations + ?4 WHERE id = ?1")
STATEMENT(ROLLUPS_TO_FOLD,
          "SELECT function_id, start_s, version_id FROM rollups WHERE resolution_s = 60"
          " AND function_id IN (SELECT 0 UNION SELECT id FROM functions) AND start_s >= ?1 AND "
          "start_s < ?2")

STATEMENT(LOSS_ADD, "INSERT INTO losses (time_us, what, n, why) VALUES (?1, ?2, ?3, ?4)")
STATEMENT(LOSS_PRUNE, "DELETE FROM losses WHERE id <= (SELECT max(id) FROM losses) - 10000")
STATEMENT(LOSSES,
          "SELECT time_us, n, what, why FROM losses WHERE time_us >= ?1 ORDER BY id DESC LIMIT ?2")

STATEMENT(VERSIONS,
          "SELECT f.name, v.name, v.first_us, v.last_us, v.invocations FROM versions v"
          " JOIN functions f ON f.id = v.function_id WHERE v.invocations > 0 AND ?1 IN ('', f.name)"
          " ORDER BY f.name, v.last_us DESC, v.id DESC")
STATEMENT(INFO,
          "SELECT (page_count - freelist_count) * page_size, (SELECT sum(records) FROM functions),"
          " (SELECT sum(log_lines) FROM functions), (SELECT count(*) FROM captures),"
          " (SELECT min(request_id) FROM records), (SELECT max(request_id) FROM records)"
          " FROM pragma_page_count, pragma_freelist_count, pragma_page_size")

STATEMENT(TOKEN_MAY_ADD, "SELECT count(*) FILTER (WHERE name = ?1), count(*) FROM tokens")
STATEMENT(TOKEN_ADD, "INSERT INTO tokens (name, hash, created_us, used_us) VALUES (?1, ?2, ?3, 0)")
STATEMENT(TOKEN_REMOVE, "DELETE FROM tokens WHERE name = ?1")
STATEMENT(TOKEN_USED_GET, "SELECT used_us FROM tokens WHERE hash = ?1")
STATEMENT(TOKEN_USED_SET, "UPDATE tokens SET used_us = ?2 WHERE hash = ?1")
STATEMENT(TOKENS, "SELECT name, created_us, used_us FROM tokens ORDER BY name")
STATEMENT(SESSION_ADD,
          "INSERT OR REPLACE INTO sessions (hash, created_us, expires_us) VALUES (?1, ?2, ?3)")
STATEMENT(SESSIONS_PRUNE, "DELETE FROM sessions WHERE hash NOT IN"
                          " (SELECT hash FROM sessions ORDER BY expires_us DESC LIMIT ?1)")
STATEMENT(SESSION_REMOVE, "DELETE FROM sessions WHERE hash = ?1")
STATEMENT(HASHES, "SELECT hash FROM (SELECT hash, 0 AS kind, created_us FROM tokens UNION ALL"
                  " SELECT hash, 1, created_us FROM sessions WHERE expires_us > ?1) ORDER BY kind, "
                  "created_us DESC")

STATEMENT(EVENTS_COUNT, "SELECT count(*) FROM events WHERE function = ?1 AND name <> ?2")
STATEMENT(
    EVENT_PUT,
    "INSERT OR REPLACE INTO events (function, name, content, updated_us) VALUES (?1, ?2, ?3, ?4)")
STATEMENT(EVENT_REMOVE, "DELETE FROM events WHERE function = ?1 AND name = ?2")
STATEMENT(EVENTS, "SELECT function, name, content, updated_us FROM events WHERE function = ?1"
                  " AND ?2 IN ('', name) ORDER BY name")
STATEMENT(CAPTURE_ADD,
          "INSERT OR REPLACE INTO captures (request_id, time_us, function, version, flags, bytes,"
          " request_head, request_body, response_head, response_body) VALUES (?1, ?2, ?3, ?4, ?5, "
          "?6, ?7, ?8, ?9, ?10)")
STATEMENT(CAPTURE_GET,
          "SELECT request_id, time_us, function, version, flags, request_head, request_body,"
          " response_head, response_body FROM captures WHERE request_id = ?1")

/* Victims: before or behind ?1, at most ?2, of the function ?3: number, function, request, and how
 * many rows go with it. */
STATEMENT(
    RETAIN_RECORDS_OLD,
    "SELECT number, function_id, request_id, log_lines FROM records INDEXED BY records_by_time"
    " WHERE request_id < ?1 ORDER BY request_id LIMIT ?2")
STATEMENT(RETAIN_RECORDS_FIRST, "SELECT number, function_id, request_id, log_lines FROM records"
                                " ORDER BY number LIMIT ?2")
STATEMENT(
    RETAIN_RECORDS_OF_OLD,
    "SELECT number, function_id, request_id, log_lines FROM records INDEXED BY records_by_function"
    " WHERE function_id = ?3 AND request_id < ?1 ORDER BY request_id LIMIT ?2")
STATEMENT(
    RETAIN_RECORDS_OF_FIRST,
    "SELECT number, function_id, request_id, log_lines FROM records INDEXED BY records_by_function"
    " WHERE function_id = ?3 ORDER BY request_id LIMIT ?2")
STATEMENT(
    RETAIN_RECORDS_OF_FUTURE,
    "SELECT number, function_id, request_id, log_lines FROM records INDEXED BY records_by_function"
    " WHERE function_id = ?3 AND request_id > ?1 ORDER BY request_id LIMIT ?2")
STATEMENT(RETAIN_LINES_OLD,
          "SELECT number, function_id, NULL, 0 FROM log_lines INDEXED BY log_lines_by_time"
          " WHERE time_us < ?1 ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_LINES_FIRST, "SELECT number, function_id, NULL, 0 FROM log_lines"
                              " ORDER BY number LIMIT ?2")
STATEMENT(RETAIN_LINES_OF_OLD,
          "SELECT number, function_id, NULL, 0 FROM log_lines INDEXED BY log_lines_by_function"
          " WHERE function_id = ?3 AND time_us < ?1 ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_LINES_OF_FIRST,
          "SELECT number, function_id, NULL, 0 FROM log_lines INDEXED BY log_lines_by_function"
          " WHERE function_id = ?3 ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_LINES_OF_FUTURE,
          "SELECT number, function_id, NULL, 0 FROM log_lines INDEXED BY log_lines_by_function"
          " WHERE function_id = ?3 AND time_us > ?1 ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_LINES_BEFORE,
          "SELECT number, function_id, NULL, 0 FROM log_lines INDEXED BY log_lines_by_time"
          " WHERE time_us < coalesce((SELECT start_us FROM records ORDER BY number LIMIT 1), "
          "9223372036854775807) ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_CAPTURES_OLD, "SELECT number, 0, NULL, 0 FROM captures INDEXED BY captures_by_time"
                               " WHERE time_us < ?1 ORDER BY time_us LIMIT ?2")
STATEMENT(RETAIN_CAPTURES_FIRST, "SELECT number, 0, NULL, 0 FROM captures ORDER BY number LIMIT ?2")
STATEMENT(RETAIN_RECORD, "DELETE FROM records WHERE number = ?1")
STATEMENT(RETAIN_LINE, "DELETE FROM log_lines WHERE number = ?1")
STATEMENT(RETAIN_CAPTURE, "DELETE FROM captures WHERE number = ?1")
STATEMENT(RETAIN_LINES_OF_REQUEST,
          "DELETE FROM log_lines WHERE request_id = ?1 RETURNING function_id")
STATEMENT(RETAIN_CAPTURES_OF_REQUEST, "DELETE FROM captures WHERE request_id = ?1")
STATEMENT(RETAIN_TOTALS, "SELECT sum(records), sum(log_lines) FROM functions")
STATEMENT(RETAIN_FUNCTION,
          "SELECT id, name, records, log_lines FROM functions WHERE id > ?1 ORDER BY id LIMIT 1")
STATEMENT(RETAIN_PAGES, "SELECT page_count, freelist_count, page_size FROM pragma_page_count, "
                        "pragma_freelist_count, pragma_page_size")
STATEMENT(RETAIN_ROLLUP_OLDEST,
          "SELECT min(start_s) FROM rollups WHERE resolution_s = ?1 AND function_id = 0")
STATEMENT(RETAIN_ROLLUPS,
          "DELETE FROM rollups WHERE resolution_s = ?1"
          " AND function_id IN (SELECT 0 UNION SELECT id FROM functions) AND start_s < ?2")
STATEMENT(RETAIN_CAPTURES_BYTES,
          "SELECT sum(bytes) FROM captures INDEXED BY captures_by_time WHERE ?1 = 0")
STATEMENT(RETAIN_SESSIONS_COUNT, "SELECT count(*) FROM sessions WHERE expires_us <= ?1")
STATEMENT(RETAIN_SESSIONS, "DELETE FROM sessions WHERE expires_us <= ?1")
