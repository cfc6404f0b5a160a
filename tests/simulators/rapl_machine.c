/*
 * A simulated RAPL machine: moves the `energy_uj` counters of a fake powercap tree along known
 * power curves and logs what it really wrote, so that a measurement can be held against the truth.
 *
 *   rapl_machine TICK_NS PHASE_NS FIFO WRITES_LOG COMMANDS_LOG
 *                [KEY WATTS START_UJ RANGE_UJ OCTAL_MODE FOLLOWS ENERGY_FILE]...
 *
 * It is a process of its own, so that a busy or garbage-collecting test cannot bend the curve.
 * Commands are text lines, on the FIFO (any number of writers, no answer) and on stdin (answered on
 * stdout by "ok T_NS" or "error REASON"). End of file on stdin ends the process.
 *
 *   power KEY WATTS                              square KEY LOW_W HIGH_W PERIOD_S DUTY PHASE_S
 *   reset|stick|unstick|vanish|restore|garbage KEY                            sync | quit
 *
 * All times are CLOCK_MONOTONIC nanoseconds. PHASE_S is the position within the period at the
 * moment when the command takes effect; every period begins with its high part.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_ZONES = 64,
    MAX_WORDS = 8,
    LINE_BYTES = 4096,
    NUMBER_BYTES = 32,
    BUFFERED_WRITES = 4096,
    FIXED_ARGUMENTS = 6,
    ZONE_ARGUMENTS = 7,
};

static const int64_t NS_PER_S = 1000000000;
static const char GARBAGE[] = "no number\n";
static const int64_t ORPHAN_CHECK_NS = 250000000;

/* Constant power is a square with period 0. */
struct curve {
    int64_t since_ns;
    double base_uj;
    double low_w;
    double high_w;
    double period_s;
    double on_s;
    double phase_s;
};

enum input { SOME, NONE, ENDED };

enum state { COUNTING, STUCK, GARBLED, GONE };

struct zone {
    const char *key;
    const char *follows;
    const char *path;
    mode_t mode;
    uint64_t range_uj;
    double offset_uj; /* the true energy at which the counter last stood at zero */
    struct curve curve;
    enum state state;
    int fd;
    size_t width;
};

/* The layout is read by machine.py: "<qqdQII". */
struct write_record {
    int64_t t_ns;
    int64_t tick_ns;
    double true_uj;
    uint64_t raw_uj;
    uint32_t zone;
    uint32_t reserved;
};

struct source {
    int fd;
    bool answers;
    bool skipping; /* the rest of a line that was too long */
    size_t used;
    char text[LINE_BYTES];
};

static struct zone zones[MAX_ZONES];
static size_t zone_count;
static int64_t tick_ns;
static int64_t first_tick_ns;
static int64_t next_tick_ns;
static struct write_record records[BUFFERED_WRITES];
static size_t record_count;
static int writes_fd;
static FILE *commands_log;
static bool write_failed;
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
    fprintf(stderr, "rapl_machine: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

/* ---- the truth ---- */

static double high_seconds(const struct curve *curve, double position_s)
{
    double periods = floor(position_s / curve->period_s);
    double rest_s = position_s - periods * curve->period_s;
    return periods * curve->on_s + fmin(fmax(rest_s, 0.0), curve->on_s);
}

static double true_uj(const struct zone *zone, int64_t t_ns)
{
    const struct curve *curve = &zone->curve;
    double seconds = (double)(t_ns - curve->since_ns) * 1e-9;
    double joules = curve->low_w * seconds;
    if (curve->period_s > 0.0) {
        double high_s = high_seconds(curve, curve->phase_s + seconds);
        joules += (curve->high_w - curve->low_w) * (high_s - high_seconds(curve, curve->phase_s));
    }
    return curve->base_uj + joules * 1e6;
}

static void set_curve(struct zone *zone, int64_t t_ns, struct curve curve)
{
    curve.since_ns = t_ns;
    curve.base_uj = true_uj(zone, t_ns);
    zone->curve = curve;
}

/* ---- the log ---- */

static void flush_records(void)
{
    const char *bytes = (const char *)records;
    size_t left = record_count * sizeof records[0];
    while (left > 0) {
        ssize_t done = write(writes_fd, bytes, left);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            die("the log of writes");
        bytes += done;
        left -= (size_t)done;
    }
    record_count = 0;
}

static void flush_logs(void)
{
    flush_records();
    if (fflush(commands_log) != 0)
        die("the log of commands");
}

static void log_write(const struct zone *zone, int64_t at_ns, double uj, uint64_t raw)
{
    if (record_count == BUFFERED_WRITES)
        flush_records();
    records[record_count++] = (struct write_record){
        .t_ns = now_ns(),
        .tick_ns = at_ns,
        .true_uj = uj,
        .raw_uj = raw,
        .zone = (uint32_t)(zone - zones),
    };
}

/* ---- the files ---- */

/*
 * The text keeps one length, filled up with newlines, and goes in place by one pwrite. With the bare
 * text, a reader that meets a shorter or a longer file than its text would take stale digits or a
 * part of the number for the whole: reads of a file, unlike those of sysfs, are not locked.
 */
static bool show(struct zone *zone, const char *text, size_t length)
{
    char padded[NUMBER_BYTES];
    memset(padded, '\n', sizeof padded);
    memcpy(padded, text, length);
    bool done = pwrite(zone->fd, padded, zone->width, 0) == (ssize_t)zone->width;
    if (!done && !write_failed) {
        write_failed = true; /* say it once, not a thousand times a second */
        fprintf(stderr, "rapl_machine: %s: %s\n", zone->path, strerror(errno));
    }
    return done;
}

/* By hand, because snprintf would be half of what a tick costs. */
static size_t format_number(char *text, uint64_t value)
{
    char digits[NUMBER_BYTES];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < count; i++)
        text[i] = digits[count - 1 - i];
    text[count] = '\n';
    return count + 1;
}

static void show_counter(struct zone *zone, int64_t at_ns)
{
    char text[NUMBER_BYTES];
    double uj = true_uj(zone, at_ns);
    uint64_t raw = (uint64_t)floor(fmax(uj - zone->offset_uj, 0.0)) % zone->range_uj;
    if (show(zone, text, format_number(text, raw)))
        log_write(zone, at_ns, uj, raw);
}

/* The file may well be read-only for its owner: the mode does not bind the descriptor. */
static bool create_file(struct zone *zone)
{
    zone->fd = open(zone->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return zone->fd >= 0 && fchmod(zone->fd, zone->mode) == 0;
}

/* When late, the missed ticks are skipped: a real counter shows its latest update only. */
static void write_due(int64_t t_ns)
{
    if (t_ns < next_tick_ns)
        return;
    int64_t latest_ns = t_ns - (t_ns - first_tick_ns) % tick_ns;
    for (size_t i = 0; i < zone_count; i++)
        if (zones[i].state == COUNTING)
            show_counter(&zones[i], latest_ns);
    next_tick_ns = latest_ns + tick_ns;
}

/* ---- the commands; each returns NULL, or why it was refused ---- */

static bool parse_number(const char *word, double *value)
{
    char *end;
    *value = strtod(word, &end);
    return end != word && *end == '\0' && isfinite(*value) && *value >= 0.0;
}

static bool parse_curve(char **words, size_t count, struct curve *curve)
{
    double duty;
    *curve = (struct curve){0};
    if (strcmp(words[0], "power") == 0 && count == 3) {
        bool good = parse_number(words[2], &curve->low_w);
        curve->high_w = curve->low_w;
        return good;
    }
    if (strcmp(words[0], "square") != 0 || count != 7)
        return false;
    if (!parse_number(words[2], &curve->low_w) || !parse_number(words[3], &curve->high_w) ||
        !parse_number(words[4], &curve->period_s) || !parse_number(words[5], &duty) ||
        !parse_number(words[6], &curve->phase_s) || curve->period_s <= 0.0 || duty > 1.0)
        return false;
    curve->on_s = duty * curve->period_s;
    curve->phase_s = fmod(curve->phase_s, curve->period_s);
    return true;
}

static void log_command(int64_t t_ns, const struct zone *zone, char **words, size_t count)
{
    fprintf(commands_log, "%lld %s %s", (long long)t_ns, words[0], zone->key);
    for (size_t i = 2; i < count; i++)
        fprintf(commands_log, " %s", words[i]);
    fputc('\n', commands_log);
}

static const char *change_curve(struct zone *zone, int64_t t_ns, char **words, size_t count)
{
    struct curve curve;
    if (!parse_curve(words, count, &curve))
        return "not a power curve";
    for (size_t i = 0; i < zone_count; i++) {
        if (&zones[i] != zone && strcmp(zones[i].follows, zone->key) != 0)
            continue;
        set_curve(&zones[i], t_ns, curve);
        log_command(t_ns, &zones[i], words, count);
    }
    return NULL;
}

static const char *reset(struct zone *zone, int64_t t_ns)
{
    zone->offset_uj = true_uj(zone, t_ns);
    if (zone->state == COUNTING)
        show_counter(zone, t_ns);
    return NULL;
}

static const char *halt(struct zone *zone, enum state state)
{
    if (zone->state == GONE)
        return "the zone is gone";
    if (state == GARBLED)
        show(zone, GARBAGE, sizeof GARBAGE - 1);
    zone->state = state;
    return NULL;
}

static const char *unstick(struct zone *zone, int64_t t_ns)
{
    if (zone->state == GONE)
        return "the zone is gone";
    zone->state = COUNTING;
    show_counter(zone, t_ns);
    return NULL;
}

/* Emptied before it is unlinked: who kept the file open must see that no number is left. */
static const char *vanish(struct zone *zone)
{
    if (zone->state == GONE)
        return "the zone is gone";
    zone->state = GONE;
    bool emptied = ftruncate(zone->fd, 0) == 0;
    bool unlinked = unlink(zone->path) == 0;
    close(zone->fd);
    return emptied && unlinked ? NULL : "the file could not be removed";
}

/* Filled under another name first, so that nobody meets an empty file. */
static const char *restore(struct zone *zone, int64_t t_ns)
{
    if (zone->state != GONE)
        return "the zone is not gone";
    const char *path = zone->path;
    char hidden[LINE_BYTES];
    if (snprintf(hidden, sizeof hidden, "%s.new", path) >= (int)sizeof hidden)
        return "the path is too long";
    zone->path = hidden;
    bool created = create_file(zone);
    if (created)
        show_counter(zone, t_ns);
    zone->path = path;
    if (!created || rename(hidden, path) != 0)
        return "the file could not be created";
    zone->state = COUNTING;
    return NULL;
}

static const char *change_zone(struct zone *zone, int64_t t_ns, const char *verb)
{
    if (strcmp(verb, "reset") == 0)
        return reset(zone, t_ns);
    if (strcmp(verb, "stick") == 0)
        return halt(zone, STUCK);
    if (strcmp(verb, "garbage") == 0)
        return halt(zone, GARBLED);
    if (strcmp(verb, "unstick") == 0)
        return unstick(zone, t_ns);
    if (strcmp(verb, "vanish") == 0)
        return vanish(zone);
    if (strcmp(verb, "restore") == 0)
        return restore(zone, t_ns);
    return "unknown command";
}

static struct zone *find_zone(const char *key)
{
    for (size_t i = 0; i < zone_count; i++)
        if (strcmp(zones[i].key, key) == 0)
            return &zones[i];
    return NULL;
}

static const char *obey(int64_t t_ns, char **words, size_t count)
{
    if (count == 1 && strcmp(words[0], "sync") == 0) {
        flush_logs();
        return NULL;
    }
    if (count == 1 && strcmp(words[0], "quit") == 0) {
        stopping = 1;
        return NULL;
    }
    if (count < 2)
        return "unknown command";
    struct zone *zone = find_zone(words[1]);
    if (zone == NULL)
        return "unknown zone";
    if (strcmp(words[0], "power") == 0 || strcmp(words[0], "square") == 0)
        return change_curve(zone, t_ns, words, count);
    if (count != 2)
        return "unknown command";
    const char *refusal = change_zone(zone, t_ns, words[0]);
    if (refusal == NULL)
        log_command(t_ns, zone, words, count);
    return refusal;
}

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (write(STDOUT_FILENO, text, (size_t)length) != length)
        stopping = 1; /* nobody is listening any more */
}

static void take_line(const struct source *source, int64_t t_ns, char *line)
{
    char *words[MAX_WORDS];
    char *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " \t\r", &rest); word && count < MAX_WORDS;
         word = strtok_r(NULL, " \t\r", &rest))
        words[count++] = word;
    if (count == 0)
        return;
    const char *refusal = obey(t_ns, words, count);
    if (refusal != NULL)
        fprintf(stderr, "rapl_machine: %s: %s\n", words[0], refusal);
    if (!source->answers)
        return;
    if (refusal == NULL)
        answer("ok %lld\n", (long long)t_ns);
    else
        answer("error %s\n", refusal);
}

/* ---- reading commands ---- */

static void take_lines(struct source *source, int64_t t_ns)
{
    char *start = source->text;
    char *end = source->text + source->used;
    for (char *stop; (stop = memchr(start, '\n', (size_t)(end - start))); start = stop + 1) {
        *stop = '\0';
        if (!source->skipping)
            take_line(source, t_ns, start);
        source->skipping = false;
    }
    source->used = (size_t)(end - start);
    memmove(source->text, start, source->used);
    if (source->used == sizeof source->text) {
        fprintf(stderr, "rapl_machine: a line is too long\n");
        source->skipping = true;
        source->used = 0;
    }
}

/* Ticks that fell due before the command are written before it. */
static enum input take_input(struct source *source)
{
    size_t room = sizeof source->text - source->used;
    ssize_t got = read(source->fd, source->text + source->used, room);
    if (got > 0) {
        int64_t t_ns = now_ns();
        write_due(t_ns);
        source->used += (size_t)got;
        take_lines(source, t_ns);
        return SOME;
    }
    return got < 0 && (errno == EINTR || errno == EAGAIN) ? NONE : ENDED;
}

static void wait_for_input(struct pollfd *polled, nfds_t count)
{
    int64_t wait_ns = next_tick_ns - now_ns();
    if (wait_ns < 0)
        wait_ns = 0;
    struct timespec wait = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
    if (ppoll(polled, count, &wait, NULL) <= 0)
        for (nfds_t i = 0; i < count; i++)
            polled[i].revents = 0;
}

/* Stdin may have been inherited by a fork of the parent, and then it does not end with it. */
static bool is_orphan(pid_t parent, int64_t t_ns)
{
    static int64_t next_check_ns;
    if (t_ns < next_check_ns)
        return false;
    next_check_ns = t_ns + ORPHAN_CHECK_NS;
    return getppid() != parent;
}

static void run(int fifo, pid_t parent)
{
    static struct source from_fifo;
    static struct source from_stdin;
    from_fifo.fd = fifo;
    from_stdin.fd = STDIN_FILENO;
    from_stdin.answers = true;
    struct pollfd polled[2] = {{.fd = fifo, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (!stopping) {
        wait_for_input(polled, 2);
        int64_t t_ns = now_ns();
        write_due(t_ns);
        /* The FIFO first: then a `sync` on stdin covers all that was written to it before. */
        if (polled[0].revents)
            while (!stopping && take_input(&from_fifo) == SOME)
                continue;
        if (polled[1].revents && take_input(&from_stdin) == ENDED)
            stopping = 1;
        if (is_orphan(parent, t_ns))
            stopping = 1;
    }
}

/* ---- start and end ---- */

/* All of it is a courtesy of the system: where it is refused, ticks are late more often. */
static void ask_for_punctuality(void)
{
    struct sched_param priority = {.sched_priority = 1};
    (void)mlockall(MCL_CURRENT);
    (void)sched_setscheduler(0, SCHED_FIFO, &priority);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* a Ctrl-C is for the tests; they end this process in order */
}

static void add_zone(char **arguments)
{
    struct zone *zone = &zones[zone_count++];
    zone->key = arguments[0];
    zone->curve.low_w = zone->curve.high_w = strtod(arguments[1], NULL);
    zone->curve.base_uj = strtod(arguments[2], NULL);
    zone->range_uj = strtoull(arguments[3], NULL, 10);
    zone->mode = (mode_t)strtoul(arguments[4], NULL, 8);
    zone->follows = arguments[5];
    zone->path = arguments[6];
    if (zone->range_uj == 0) {
        errno = EINVAL;
        die(zone->key);
    }
    char text[NUMBER_BYTES];
    zone->width = format_number(text, zone->range_uj - 1);
    if (zone->width < sizeof GARBAGE - 1)
        zone->width = sizeof GARBAGE - 1;
    if (!create_file(zone))
        die(zone->path);
}

static void start_counting(int64_t phase_ns)
{
    int64_t start_ns = now_ns();
    first_tick_ns = start_ns + phase_ns;
    next_tick_ns = phase_ns > 0 ? first_tick_ns : first_tick_ns + tick_ns;
    fprintf(commands_log, "%lld start\n", (long long)start_ns);
    for (size_t i = 0; i < zone_count; i++) {
        zones[i].curve.since_ns = start_ns;
        show_counter(&zones[i], start_ns);
    }
    answer("ok %lld\n", (long long)start_ns);
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    int zone_words = argc - FIXED_ARGUMENTS;
    if (zone_words < 0 || zone_words % ZONE_ARGUMENTS || zone_words / ZONE_ARGUMENTS > MAX_ZONES) {
        fprintf(stderr, "rapl_machine: wrong arguments\n");
        return 2;
    }
    tick_ns = strtoll(argv[1], NULL, 10);
    int64_t phase_ns = strtoll(argv[2], NULL, 10);
    /* Read and write, so that the last writer's leaving is no end of file. */
    int fifo = open(argv[3], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    writes_fd = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    commands_log = fopen(argv[5], "we");
    if (tick_ns <= 0 || phase_ns < 0)
        errno = EINVAL;
    if (tick_ns <= 0 || phase_ns < 0 || fifo < 0 || writes_fd < 0 || commands_log == NULL)
        die("cannot start");
    for (int i = FIXED_ARGUMENTS; i < argc; i += ZONE_ARGUMENTS)
        add_zone(argv + i);
    handle_signals();
    ask_for_punctuality();
    start_counting(phase_ns);
    run(fifo, parent);
    fprintf(commands_log, "%lld end\n", (long long)now_ns());
    flush_logs();
    return 0;
}
