/* mayfly-otlp: sends what control hands it to an OpenTelemetry collector. It is a program of its
 * own because of what it links (libcurl, TLS) and whom it talks to: it has no rights but to
 * connect, sees only what is exported, and control never waits for it. It ends with control,
 * however that ends: when all is sent, or END_NS have passed, or, should it hang, END_HARD_S. */

#include "base/clock.h"
#include "base/log.h"
#include "os/cred.h"
#include "os/fd.h"
#include "otlp/encode.h"
#include "otlp/queue.h"
#include "otlp/send.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp.h"
#include "wire/wire.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_CONTROL     3
#define EXIT_USAGE     2
#define END_NS         (1200 * NS_PER_MS)
#define END_HARD_S     2
#define ROUND_MS       500 /* how long it sleeps, at most */
#define TELL_NS        (30 * NS_PER_S)
#define ITEM_BYTES_MAX (1024 * 1024)
#define CA_BYTES_MAX   (1024 * 1024)
#define MESSAGES_MAX   32 /* read in one round */
#define NOBODY         65534
#define MEMORY_MAX     (512ULL << 20)
#define FILES_MAX      64

struct exporter {
    struct otlp_settings settings;
    struct wire control;
    struct sender *sender;
    struct queue queues[_QUEUE_SIGNAL_MAX];
    struct buf item; /* being written */
    bool ending;
    uint64_t end_ns;
    bool failing[_QUEUE_SIGNAL_MAX]; /* the last try of the signal */
    uint64_t told_ns[_QUEUE_SIGNAL_MAX];
};

/* ---- the walls ---- */

static int read_ca(const char *path, struct buf *b, struct error *err)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = 1;

    if (!path)
        return 0;
    if (fd < 0)
        return error_set_errno(err, -errno, "OTEL_EXPORTER_OTLP_CERTIFICATE: %s", path);
    while (n > 0 && buf_reserve(b, 4096) == 0) {
        n = read(fd, buf_tail(b), 4096);
        buf_commit(b, (size_t)MAX(n, 0));
    }
    fd_close(fd);
    if (n != 0)
        return error_set(err, -EINVAL, "OTEL_EXPORTER_OTLP_CERTIFICATE: %s: %s", path,
                         n < 0 ? strerrordesc_np(errno) : "is larger than 1 MB");
    return 0;
}

/* Names are looked up and certificates read; nothing is written, executed or found out. */
static int wall_files(void)
{
    const char *reads[] = {"/etc",
                           "/usr",
                           "/lib",
                           "/lib64",
                           "/run/systemd/resolve",
                           "/dev/urandom",
                           getenv("SSL_CERT_FILE"),
                           getenv("SSL_CERT_DIR"),
                           NULL};
    const char *given[ARRAY_SIZE(reads)] = {NULL};
    const char *const nothing[] = {NULL};
    int abi = sandbox_landlock_abi(), rules = -1, r;
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(reads); i++) {
        if (reads[i])
            given[n++] = reads[i];
    }
    if (abi == 0)
        return 0;
    r = sandbox_landlock_prepare_for(MIN(abi, LANDLOCK_ABI_SCOPES - 1), given, nothing, &rules);
    if (r == LANDLOCK_E_NONE)
        r = rules < 0 ? 0 : sandbox_landlock_worker(rules);
    fd_close(rules);
    return MIN(r, 0);
}

static int enter_walls(struct error *err)
{
    const struct rlimit none = {0, 0}, files = {FILES_MAX, FILES_MAX};
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    int r = 0;

    (void)umask(077);
    (void)close_range(FD_CONTROL + 1, ~0U, 0);
    if (chdir("/") < 0 || setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return error_set_errno(err, -errno, "cannot limit itself");
#ifndef __SANITIZE_ADDRESS__
    if (setrlimit(RLIMIT_AS, &memory) < 0)
        return error_set_errno(err, -errno, "cannot limit its memory");
#else
    (void)memory;
#endif
    if (geteuid() == 0)
        r = cred_become(NOBODY, NOBODY);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    /* Tokens of the collector are in here; and a change of user has made it forget its parent. */
    if (r == 0 && (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0))
        r = -errno;
    if (r == 0)
        r = wall_files();
#ifndef __SANITIZE_ADDRESS__
    if (r == 0)
        r = sandbox_seccomp_install();
#endif
    return r < 0 ? error_set_errno(err, r, "cannot confine itself") : 0;
}

/* ---- what control hands over ---- */

static void take_record(struct exporter *x, const struct record *r)
{
    struct queue_item item = {
        .function = r->function, .version = r->version, .memory_bytes = r->memory_limit_bytes};
    int n;

    buf_clear(&x->item);
    n = otlp_write_spans(&x->item, r);
    if (n < 0) {
        queue_lose(&x->queues[QUEUE_TRACES], 1,
                   n == -EINVAL ? "a record has no trace" : "no memory");
        return;
    }
    item.n = (unsigned)n;
    item.json = buf_slice(&x->item);
    queue_add(&x->queues[QUEUE_TRACES], &item, clock_now_ns());
}

static void take_line(struct exporter *x, const struct log_line *l)
{
    struct queue_item item = {.function = l->function, .version = l->version, .n = 1};

    buf_clear(&x->item);
    if (otlp_write_log(&x->item, l, clock_wall_us()) < 0) {
        queue_lose(&x->queues[QUEUE_LOGS], 1, "no memory");
        return;
    }
    item.json = buf_slice(&x->item);
    queue_add(&x->queues[QUEUE_LOGS], &item, clock_now_ns());
}

static void take_message(struct exporter *x, const struct wire_message *m)
{
    struct log_line line;
    struct record record;
    struct unpack u;

    if (m->type == WIRE_EXPORT_RECORDS) {
        unpack_init(&u, m->export_records.bytes);
        for (uint32_t i = 0; i < m->export_records.n && !u.bad; i++) {
            record_decode(&u, &record);
            if (!u.bad)
                take_record(x, &record);
        }
    } else if (m->type == WIRE_EXPORT_LOGS) {
        unpack_init(&u, m->export_logs.bytes);
        for (uint32_t i = 0; i < m->export_logs.n && !u.bad; i++) {
            log_line_decode(&u, &line);
            if (!u.bad)
                take_line(x, &line);
        }
    }
}

static void begin_end(struct exporter *x)
{
    x->ending = true;
    x->end_ns = clock_now_ns() + END_NS;
}

static void read_control(struct exporter *x)
{
    struct wire_message m;

    for (int i = 0; i < MESSAGES_MAX && !x->ending; i++) {
        int r = wire_recv(&x->control, &m);

        if (r == WIRE_E_AGAIN)
            return;
        if (r != WIRE_E_OK) {
            begin_end(x);
            return;
        }
        take_message(x, &m);
        wire_message_deinit(&m);
    }
}

/* ---- what becomes of it ---- */

/* The first failure, then a line now and then; and that it is over. */
static void tell_try(struct exporter *x, enum queue_signal signal, const char *what)
{
    uint64_t now_ns = clock_now_ns();
    char quoted[ANSWER_WHY_MAX * 2];

    if (!what) {
        if (x->failing[signal])
            log_info("export.again", "signal=%s", queue_signal_name(signal));
        x->failing[signal] = false;
        return;
    }
    if (!x->failing[signal] || now_ns - x->told_ns[signal] > TELL_NS) {
        log_warning("export.failed", "signal=%s what=%s", queue_signal_name(signal),
                    log_quote(slice_str(what), quoted, sizeof(quoted)));
        x->told_ns[signal] = now_ns;
    }
    x->failing[signal] = true;
}

static void on_result(struct exporter *x, const struct sender_result *r)
{
    struct queue *q = &x->queues[r->signal];
    char quoted[ANSWER_WHY_MAX * 2];
    uint32_t random = 0;

    switch (r->answer) {
    case ANSWER_DELIVERED:
        tell_try(x, r->signal, NULL);
        if (r->why[0] && r->rejected == 0) /* OTLP: a warning */
            log_warning("export.note", "signal=%s what=%s", queue_signal_name(r->signal),
                        log_quote(slice_str(r->why), quoted, sizeof(quoted)));
        queue_delivered(q, r->rejected, r->why[0] ? r->why : "the collector rejects some");
        break;
    case ANSWER_RETRY:
        (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
        tell_try(x, r->signal, r->why);
        queue_failed(q, clock_now_ns(), r->retry_after_ms, random, r->why);
        break;
    case ANSWER_REFUSED:
        tell_try(x, r->signal, r->why);
        queue_refused(q, r->why);
        break;
    }
}

static void send_due(struct exporter *x)
{
    uint64_t now_ns = clock_now_ns();

    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++) {
        struct queue *q = &x->queues[i];

        if (queue_due_ns(q, x->ending) > now_ns || queue_begin(q, &x->settings, now_ns) < 0)
            continue;
        if (sender_post(x->sender, q->signal, buf_slice(&q->body)) < 0)
            queue_failed(q, now_ns, 0, 0, "no memory");
    }
}

/* Control counts them and tells; a control that does not read is told later. */
static void tell_losses(struct exporter *x)
{
    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++) {
        struct queue *q = &x->queues[i];
        struct wire_message m = {
            .type = WIRE_EXPORT_LOST,
            .export_lost = {.what = slice_str(i == QUEUE_TRACES ? "spans" : "log records"),
                            .n = q->n_lost,
                            .why = slice_str(q->why)}};

        if (q->n_lost > 0 && !wire_has_queued(&x->control) && wire_send(&x->control, &m) == 0)
            q->n_lost = 0;
    }
}

static int wait_ms(const struct exporter *x)
{
    uint64_t now_ns = clock_now_ns(), due_ns = now_ns + ROUND_MS * NS_PER_MS;

    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++)
        due_ns = MIN(due_ns, queue_due_ns(&x->queues[i], x->ending));
    if (x->ending)
        due_ns = MIN(due_ns, x->end_ns);
    return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns) / NS_PER_MS + 1);
}

static bool is_done(const struct exporter *x)
{
    bool empty = true;

    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++)
        empty = empty && x->queues[i].n_items == 0 && x->queues[i].state == QUEUE_IDLE;
    return x->ending && (empty || clock_now_ns() >= x->end_ns);
}

static void run(struct exporter *x)
{
    struct sender_result result;

    while (!is_done(x)) {
        send_due(x);
        sender_wait(x->sender, x->ending ? -1 : x->control.fd, wait_ms(x));
        if (!x->ending)
            read_control(x);
        while (sender_next(x->sender, &result))
            on_result(x, &result);
        (void)wire_flush(&x->control);
        tell_losses(x);
    }
    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++)
        queue_give_up(&x->queues[i], "not sent when mayfly ended");
    tell_losses(x);
}

/* ---- begin ---- */

/* Control has ended, as its closed channel tells, too; whoever hangs is ended by SIGALRM. */
static void on_orphaned(int signal)
{
    (void)alarm(END_HARD_S);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static int begin(struct exporter *x, const char *endpoint, struct error *err)
{
    struct buf ca = BUF_INIT(CA_BYTES_MAX);
    int r = otlp_settings_read(&x->settings, endpoint, environment, err);

    for (unsigned i = 0; i < _QUEUE_SIGNAL_MAX; i++)
        queue_init(&x->queues[i], (enum queue_signal)i);
    buf_init(&x->item, ITEM_BYTES_MAX);
    if (r == 0)
        r = read_ca(x->settings.ca_file, &ca, err);
    if (r == 0)
        r = enter_walls(err);
    if (r == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        r = error_set(err, -EIO, "libcurl does not start");
    if (r == 0)
        r = sender_new(&x->settings, buf_slice(&ca), &x->sender, err);
    buf_deinit(&ca); /* curl has copied it */
    if (r == 0)
        r = wire_init_consume(&x->control, FD_CONTROL, WIRE_OTLP, WIRE_CONTROL);
    return r;
}

int main(int argc, char **argv)
{
    static struct exporter x;
    struct error err = ERROR_NULL;
    int r;

    log_init("otlp", LOG_LEVEL_INFO);
    if (argc != 3 || strcmp(argv[1], "--endpoint") != 0 || fcntl(FD_CONTROL, F_GETFD) < 0) {
        (void)fprintf(stderr, "mayfly-otlp is started by mayfly-control\n");
        return EXIT_USAGE;
    }
    (void)signal(SIGTERM, on_orphaned);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return EXIT_FAILURE;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a terminal sends it to all; control decides */
    (void)fd_set_cloexec(FD_CONTROL, true);
    r = begin(&x, argv[2], &err);
    if (r < 0) {
        log_error("export.start", "%s", err.text[0] ? err.text : strerrordesc_np(-r));
        return r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
    }
    run(&x);
    return EXIT_SUCCESS;
}
