/* Every message between mayfly's processes, once:
 * MSG(NAME, name, from, to, n_fds, fields). A message that is not in this table for the peer that
 * sent it, that has other fds or other bytes than it says, ends that peer.
 *
 * Fields are F(type, name): u32, u64, str (bytes with a length). They are declared in the order in
 * which they travel. */

/* A message's number is its row, from 1. What a zygote speaks stands first, so that these stay as they
 * are for runtimes that are built elsewhere: new ones go behind the last row of the file. */

/* ---- supervisor and zygote ---- */
MSG(SECRETS, secrets, SUPERVISOR, ZYGOTE, 1, /* ahead of START; fd: sealed memfd, model/secret.h */
    F(u32, at_load) F(str, names)) /* of the variables, each ended by a NUL */
MSG(CGROUP, cgroup, SUPERVISOR, ZYGOTE, 1, /* ahead of START; fd: where its slots s0, s1, ... are */
    F(u32, v2) F(u32, slots))
MSG(SLOTS, slots, SUPERVISOR, ZYGOTE, 0, F(u32, slots)) /* so many there are now */
MSG(SLOTS_WANTED, slots_wanted, ZYGOTE, SUPERVISOR, 0, F(u32, slots))
MSG(START, start, SUPERVISOR, ZYGOTE, 0,
    F(str, function) F(str, version) F(str, handler) F(u32, isolation) F(u32, dev)
        F(u64, timeout_ms) F(u64, memory_bytes) F(str, sandbox))      /* struct sandbox_worker */
MSG(GATEWAY_CHANGED, gateway_changed, SUPERVISOR, ZYGOTE, 1, NOTHING) /* fd: the new channel */
MSG(READY, ready, ZYGOTE, SUPERVISOR, 0, NOTHING)
MSG(FAILED, failed, ZYGOTE, SUPERVISOR, 0, F(str, error)) /* then it exits */

/* ---- gateway and zygote ---- */
MSG(FORK, fork, GATEWAY, ZYGOTE, 3, F(u64, worker)) /* fds: request socket, stdout, stderr */
MSG(WORKER_STARTED, worker_started, ZYGOTE, GATEWAY, 1, F(u64, worker)) /* fd: pidfd */
MSG(WORKER_ENDED, worker_ended, ZYGOTE, GATEWAY, 0,
    F(u64, worker) F(u32, status) F(u64, user_us) F(u64, system_us) F(u64, memory_peak_bytes)
        F(u64, minor_faults) F(u64, major_faults) F(u64, voluntary_switches)
            F(u64, involuntary_switches)
                F(u32, limit) F(u64, limit_used) F(u64, limit_max)) /* enum limit_hit; 0: none */
MSG(FORK_FAILED, fork_failed, ZYGOTE, GATEWAY, 0, F(u64, worker) F(u32, error)) /* errno */

/* ---- supervisor and gateway ---- */
MSG(SNAPSHOT, snapshot, SUPERVISOR, GATEWAY, 1, NOTHING) /* fd: sealed memfd, model/snapshot.h */
MSG(SANDBOX, sandbox, SUPERVISOR, GATEWAY, 0, F(u32, missing) F(str, json)) /* for /healthz */
MSG(CONTROL_LINK, control_link, SUPERVISOR, GATEWAY, 1, NOTHING) /* fd: a channel to control */
MSG(ZYGOTE_STARTED, zygote_started, SUPERVISOR, GATEWAY, 2, /* fds: channel, its stdout+stderr */
    F(u64, zygote) F(u64, pid) F(str, function) F(str, version))
MSG(ZYGOTE_READY, zygote_ready, SUPERVISOR, GATEWAY, 0, /* pid: the zygote's own, behind its init */
    F(u64, zygote) F(u64, pid) F(u64, init_ns))
/* loaded: whether it ever was ready; killed: by a SIGKILL from who knows where */
MSG(ZYGOTE_ENDED, zygote_ended, SUPERVISOR, GATEWAY, 0,
    F(u64, zygote) F(u32, loaded) F(u32, killed) F(str, error))
MSG(ZYGOTE_REFUSED, zygote_refused, SUPERVISOR, GATEWAY, 0, /* none could be started */
    F(str, function) F(str, version) F(str, error))
MSG(DRAIN, drain, SUPERVISOR, GATEWAY, 0, NOTHING)
MSG(ZYGOTE_WANTED, zygote_wanted, GATEWAY, SUPERVISOR, 0, F(str, function) F(str, version))
MSG(ZYGOTE_RELEASE, zygote_release, GATEWAY, SUPERVISOR, 0, F(u64, zygote))
MSG(KILL, kill, GATEWAY, SUPERVISOR, 1, F(u32, signal)) /* fd: pidfd of a zygote's child */
MSG(DRAINED, drained, GATEWAY, SUPERVISOR, 0, NOTHING)

/* ---- supervisor and control ---- */
MSG(PUBLISH, publish, CONTROL, SUPERVISOR, 2, F(u32, n_functions)) /* fds: memfds, as in SNAPSHOT,
    and the secrets of the functions, model/secret.h: for the supervisor alone */
MSG(PUBLISH_FAILED, publish_failed, CONTROL, SUPERVISOR, 0, F(str, error))
MSG(RELOAD, reload, SUPERVISOR, CONTROL, 0, NOTHING)
MSG(GATEWAY_LINK, gateway_link, SUPERVISOR, CONTROL, 1, NOTHING) /* fd: a channel to the gateway */
MSG(STOPPING, stopping, SUPERVISOR, CONTROL, 0, NOTHING) /* write out what is left and exit */

/* ---- gateway and control ---- */
/* Batches of records and of log lines are numbered together, from 1, by each gateway: boot tells
 * gateways apart. What is not TAKEN is sent again to the next control; who keeps (boot, batch) with
 * the rows knows what he has. */
MSG(RECORDS, records, GATEWAY, CONTROL, 0, /* n records, one behind the other (model/record.h) */
    F(u64, boot) F(u64, batch) F(u32, n) F(u64, lost) F(str, bytes))
MSG(LOGS, logs, GATEWAY, CONTROL, 0, /* n log lines */
    F(u64, boot) F(u64, batch) F(u32, n) F(u64, lost) F(str, bytes))
MSG(TAKEN, taken, CONTROL, GATEWAY, 0, F(u64, batch))  /* all batches up to this one are kept */
MSG(ADMIN_REQUEST, admin_request, GATEWAY, CONTROL, 1, /* fd: the client's connection */
    F(u32, local)     /* 1: by the unix socket, whose peers are the daemon's own user */
    F(str, principal) /* how it was admitted: "local", "token", "session", or empty: it was not */
    F(str, bytes))    /* read so far, as it came: the whole head, and what followed. Who expects a
                         100 has been sent it. The connection does not block. */
MSG(ADMISSION, admission, CONTROL, GATEWAY, 0, /* the tokens and sessions that hold now */
    F(u32, n) F(str, hashes))                  /* n SHA-256 of 32 bytes each, at most 1024 */
MSG(STATUS, status, CONTROL, GATEWAY, 0, F(u32, ready) F(str, json)) /* for /readyz: an object */
MSG(WATCH, watch, CONTROL, GATEWAY, 0, F(u32, interval_ms))          /* 0: nobody looks any more */
MSG(LIVE, live, GATEWAY, CONTROL, 0, F(str, json)) /* what runs now, each interval_ms */
MSG(RECORDING, recording, GATEWAY, CONTROL, 0, /* before the record; cut: enum recording_cut */
    F(u64, lost) F(str, request_id) F(str, function) F(str, version) F(u32, trigger) F(u32, cut)
        F(str, head)                   /* request line and headers, without framing and without end */
            F(str, body) F(u32, status) F(str, answer_head) F(str, answer_body)) /* header lines */
MSG(REPLAY, replay, CONTROL, GATEWAY, 1, /* fd: a connection with one request for the function */
    F(u32, trigger) F(str, function))

/* ---- control and the helper that exports to a collector ---- */
MSG(EXPORT_RECORDS, export_records, CONTROL, OTLP, 0, F(u32, n) F(str, bytes)) /* as RECORDS */
MSG(EXPORT_LOGS, export_logs, CONTROL, OTLP, 0, F(u32, n) F(str, bytes))       /* as LOGS */
MSG(EXPORT_LOST, export_lost, OTLP, CONTROL, 0, F(str, what) F(u64, n) F(str, why))
