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
STATEMENT(FUNCTION_COUNT,
          "UPDATE functions SET records = records + ?2, log_lines = log_lines + ?3 WHERE id = ?1")
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
