/* Settings, faults and the journal. */
#define _GNU_SOURCE
#include "core.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HANG = -100, CRASH, WAIT };
enum { MAX_SETTINGS = 1024, MAX_FAULTS = 64, FAULT_TEXT = 96 };

struct setting {
    const char *key, *value;
};
struct fault {
    char text[FAULT_TEXT], call[FAULT_TEXT];
    int dev, what, wait_ms, processes, spared, mine;
    long from, count, seen;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct setting settings[MAX_SETTINGS];
static int setting_count;
static struct fault faults[MAX_FAULTS];
static int fault_count;
static struct stat faults_read;
static int lost[FAKENV_MAX_DEVICES + 1]; /* the last: what concerns no device */
static int allowed, journal = -1;

static const char *state_path(char *out, size_t size, const char *name)
{
    const char *state = getenv("FAKENV_STATE");
    snprintf(out, size, "%s/%s", state ? state : "", name);
    return out;
}

static char *read_text(const char *path, struct stat *about)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    char *text = NULL;
    if (!fstat(fd, about) && (text = malloc((size_t)about->st_size + 1))) {
        ssize_t n = read(fd, text, (size_t)about->st_size);
        text[n > 0 ? n : 0] = 0;
    }
    close(fd);
    return text;
}

/* The description is read once: a machine does not change under a running process, only its faults do. */
static void set_up(void)
{
    char path[4096];
    struct stat about;
    const char *state = getenv("FAKENV_STATE");
    char *text = state && *state ? read_text(state_path(path, sizeof path, "machine"), &about) : NULL;
    if (!text) return;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && setting_count < MAX_SETTINGS;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        if (!equals) continue;
        *equals = 0;
        settings[setting_count++] = (struct setting){ line, equals + 1 };
    }
    journal = open(state_path(path, sizeof path, "journal"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    allowed = journal >= 0;
}

int fakenv_allowed(void)
{
    pthread_once(&once, set_up);
    return allowed;
}

__attribute__((constructor)) static void say_what_this_is(void)
{
    if (!fakenv_allowed())
        fputs("fake NVIDIA driver, for tests only: no machine in FAKENV_STATE, refusing to work\n", stderr);
}

const char *fakenv_text(int dev, const char *key, const char *otherwise)
{
    char full[80];
    pthread_once(&once, set_up);
    if (dev >= 0) snprintf(full, sizeof full, "dev%d.%s", dev, key);
    for (int i = 0; i < setting_count; i++)
        if (!strcmp(settings[i].key, dev >= 0 ? full : key)) return settings[i].value;
    return otherwise;
}

long fakenv_number(int dev, const char *key, long otherwise)
{
    const char *text = fakenv_text(dev, key, NULL);
    return text ? atol(text) : otherwise;
}

int fakenv_devices(void)
{
    long n = fakenv_number(FAKENV_ANY, "devices", 0);
    return (int)(n > FAKENV_MAX_DEVICES ? FAKENV_MAX_DEVICES : n);
}

/* --- faults: [devN:]CALL[@N[+K]]=WHAT[!P|~P] --- */

static int parse_fault(const char *text, struct fault *out)
{
    char copy[FAULT_TEXT], *call = copy, *what, *mark;
    struct fault f = { .dev = FAKENV_ANY, .from = 1, .count = 1L << 60 };
    snprintf(f.text, sizeof f.text, "%s", text);
    snprintf(copy, sizeof copy, "%s", text);
    if (!(what = strchr(copy, '='))) return -1;
    *what++ = 0;
    if ((mark = strchr(what, '!'))) {
        *mark++ = 0;
        f.processes = *mark ? atoi(mark) : 1;
    }
    if ((mark = strchr(what, '~'))) {
        *mark++ = 0;
        f.processes = *mark ? atoi(mark) : 1;
        f.spared = 1;
    }
    if (!strncmp(call, "dev", 3) && (mark = strchr(call, ':'))) {
        f.dev = atoi(call + 3);
        call = mark + 1;
    }
    if ((mark = strchr(call, '@'))) {
        *mark++ = 0;
        f.from = atol(mark);
        if ((mark = strchr(mark, '+'))) f.count = atol(mark + 1);
    }
    snprintf(f.call, sizeof f.call, "%s", call);
    size_t n = strlen(what);
    if (!strcmp(what, "hang")) f.what = HANG;
    else if (!strcmp(what, "crash")) f.what = CRASH;
    else if (!strcmp(what, "lost")) f.what = FAKENV_LOST;
    else if (n > 2 && !strcmp(what + n - 2, "ms")) f.what = WAIT, f.wait_ms = atoi(what);
    else f.what = atoi(what);
    *out = f;
    return 0;
}

static void read_faults(char *text, const struct fault *before, int count_before)
{
    char *rest = NULL;
    for (char *item = strtok_r(text, ", \n", &rest); item && fault_count < MAX_FAULTS;
         item = strtok_r(NULL, ", \n", &rest)) {
        struct fault f;
        if (parse_fault(item, &f)) continue;
        for (int i = 0; i < count_before; i++)
            if (!strcmp(before[i].text, f.text)) f = before[i];
        faults[fault_count++] = f;
    }
}

/* Tests change the faults of running processes. What stays in the list goes on counting. */
static void refresh_faults(void)
{
    char path[4096];
    struct stat now;
    if (stat(state_path(path, sizeof path, "faults"), &now)) return;
    if (now.st_ino == faults_read.st_ino && now.st_mtim.tv_sec == faults_read.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == faults_read.st_mtim.tv_nsec)
        return;
    char *text = read_text(path, &faults_read);
    if (!text) return;
    struct fault before[MAX_FAULTS];
    int count_before = fault_count;
    memcpy(before, faults, sizeof before);
    fault_count = 0;
    read_faults(text, before, count_before);
    free(text);
    const char *ours = getenv("FAKENV_FAULTS");
    if (ours && (text = strdup(ours))) {
        read_faults(text, before, count_before);
        free(text);
    }
}

/* Whether this process is one of the first P that come this far; it stays so. */
static int one_of_the_first(struct fault *f)
{
    if (f->mine) return 1;
    for (int i = 0; i < f->processes; i++) {
        char name[FAULT_TEXT + 40], path[4096];
        snprintf(name, sizeof name, "once.%s.%d", f->text, i);
        for (char *c = name; *c; c++)
            if (*c == '/') *c = '_';
        int fd = open(state_path(path, sizeof path, name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (fd < 0) continue;
        close(fd);
        return f->mine = 1;
    }
    return 0;
}

/* "!P": only the first P processes; "~P": all but them. */
static int concerns_us(struct fault *f)
{
    return !f->processes || one_of_the_first(f) != f->spared;
}

static void sleep_ms(int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

static void crash(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

int fakenv_fault(int dev, const char *call)
{
    int what = 0, wait_ms = 0;
    if (!fakenv_allowed()) return 0;
    pthread_mutex_lock(&lock);
    refresh_faults();
    for (int i = 0; i < fault_count; i++) {
        struct fault *f = &faults[i];
        if (f->dev != FAKENV_ANY && f->dev != dev) continue;
        if (strcmp(f->call, call) && strcmp(f->call, "*")) continue;
        f->seen++;
        if (f->seen < f->from || f->seen - f->from >= f->count || !concerns_us(f)) continue;
        if (f->what == WAIT) wait_ms += f->wait_ms;
        else what = f->what;
    }
    int *gone = &lost[dev < 0 ? FAKENV_MAX_DEVICES : dev];
    if (what == FAKENV_LOST) *gone = 1;
    int was_lost = *gone;
    pthread_mutex_unlock(&lock);
    if (what) fakenv_log(dev, "fault", "\"call\":\"%s\",\"what\":%d", call, what);
    if (wait_ms) sleep_ms(wait_ms);
    if (what == HANG)
        for (;;) pause();
    if (what == CRASH) crash();
    return what ? what : was_lost ? FAKENV_LOST : 0;
}

void fakenv_log(int dev, const char *event, const char *format, ...)
{
    enum { END = 3 }; /* "}\n" and the zero of vsnprintf */
    char line[1024];
    struct timespec t;
    va_list arguments;
    if (!fakenv_allowed()) return;
    clock_gettime(CLOCK_REALTIME, &t);
    int n = snprintf(line, sizeof line, "{\"fake\":true,\"t\":%ld.%03ld,\"pid\":%d,\"dev\":%d,\"ev\":\"%s\",",
                     (long)t.tv_sec, t.tv_nsec / 1000000, (int)getpid(), dev, event);
    va_start(arguments, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n - END, format, arguments);
    va_end(arguments);
    if (n > (int)sizeof line - END) n = sizeof line - END;
    line[n++] = '}';
    line[n++] = '\n';
    if (write(journal, line, (size_t)n) < 0) return; /* a full disk must not stop the encoder */
}
