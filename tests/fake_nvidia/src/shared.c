/* What all processes of a machine share: encoder sessions and device memory.
 *
 * Each is a file of records. A record belongs to whoever holds a lock on its bytes, and the kernel drops the locks of a
 * process that is killed: so does a real driver with its sessions. Open file description locks, because two sessions
 * of one process must count as two. */
#define _GNU_SOURCE
#include "core.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = sizeof(fakenv_record) };
static const off_t GUARD = (off_t)FAKENV_MAX_RECORDS * SIZE; /* the lock under which records are given out */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int fd, slot;
    uint64_t bytes;
} mine[FAKENV_MAX_DEVICES];

static int table_open(const char *name)
{
    char path[4096];
    const char *state = getenv("FAKENV_STATE");
    snprintf(path, sizeof path, "%s/%s", state ? state : "", name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
}

static int lock_bytes(int fd, int command, short type, off_t at, off_t length)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = length };
    return fcntl(fd, command, &l);
}

static int live(int fd, fakenv_record *out)
{
    int n = 0;
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < end && at < GUARD; at += SIZE) {
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = SIZE };
        if (!fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK && pread(fd, &out[n], SIZE, at) == SIZE) n++;
    }
    return n;
}

static int claim(int fd, const fakenv_record *record)
{
    for (int slot = 0; slot < FAKENV_MAX_RECORDS; slot++)
        if (!lock_bytes(fd, F_OFD_SETLK, F_WRLCK, (off_t)slot * SIZE, SIZE))
            return pwrite(fd, record, SIZE, (off_t)slot * SIZE) == SIZE ? slot : -1;
    return -1;
}

static int read_table(const char *name, fakenv_record *out)
{
    int fd = table_open(name);
    if (fd < 0) return 0;
    int n = live(fd, out);
    close(fd);
    return n;
}

/* --- sessions: a handle is a file descriptor, and the slot it holds above its low bits --- */

enum { SLOT_SHIFT = 20, FD_MASK = (1 << SLOT_SHIFT) - 1 };

int fakenv_session_open(int dev)
{
    fakenv_record all[FAKENV_MAX_RECORDS];
    long here = fakenv_number(dev, "sessions", 0), anywhere = fakenv_number(FAKENV_ANY, "sessions", 0), on_dev = 0;
    int slot = -1, fd = table_open("sessions");
    if (fd < 0) return -1;
    lock_bytes(fd, F_OFD_SETLKW, F_WRLCK, GUARD, 1);
    int n = live(fd, all);
    for (int i = 0; i < n; i++) on_dev += all[i].dev == dev;
    if ((!here || on_dev < here) && (!anywhere || n < anywhere))
        slot = claim(fd, &(fakenv_record){ .dev = dev, .pid = getpid() });
    lock_bytes(fd, F_OFD_SETLK, F_UNLCK, GUARD, 1);
    if (slot < 0) close(fd);
    return slot < 0 ? -1 : fd | slot << SLOT_SHIFT;
}

void fakenv_session_describe(int session, int dev, int codec, int width, int height)
{
    fakenv_record r = { .dev = dev, .pid = getpid(), .codec = codec, .width = width, .height = height };
    if (pwrite(session & FD_MASK, &r, SIZE, (off_t)(session >> SLOT_SHIFT) * SIZE) != SIZE)
        fakenv_log(dev, "session", "\"undescribed\":%d", session);
}

void fakenv_session_close(int session) { close(session & FD_MASK); }

int fakenv_sessions(int dev, fakenv_record *out)
{
    int n = read_table("sessions", out), kept = 0;
    for (int i = 0; i < n; i++)
        if (dev == FAKENV_ANY || out[i].dev == dev) out[kept++] = out[i];
    return kept;
}

/* --- device memory: one record for each process and device --- */

static uint64_t used_by_all(int fd, int dev)
{
    fakenv_record all[FAKENV_MAX_RECORDS];
    uint64_t sum = 0;
    int n = live(fd, all);
    for (int i = 0; i < n; i++)
        if (all[i].dev == dev) sum += all[i].bytes;
    return sum;
}

static void write_mine(int dev)
{
    fakenv_record r = { .dev = dev, .pid = getpid(), .bytes = mine[dev].bytes };
    if (pwrite(mine[dev].fd, &r, SIZE, (off_t)mine[dev].slot * SIZE) != SIZE)
        fakenv_log(dev, "memory", "\"unwritten\":true");
}

int fakenv_memory_take(int dev, size_t bytes)
{
    uint64_t total = (uint64_t)fakenv_number(dev, "vram_mb", 0) << 20;
    pthread_mutex_lock(&mutex);
    if (!mine[dev].fd) {
        mine[dev].fd = table_open("memory");
        lock_bytes(mine[dev].fd, F_OFD_SETLKW, F_WRLCK, GUARD, 1);
        mine[dev].slot = claim(mine[dev].fd, &(fakenv_record){ .dev = dev, .pid = getpid() });
        lock_bytes(mine[dev].fd, F_OFD_SETLK, F_UNLCK, GUARD, 1);
    }
    int reader = table_open("memory"); /* another descriptor, or our own lock would not show */
    lock_bytes(reader, F_OFD_SETLKW, F_WRLCK, GUARD, 1);
    int refused = used_by_all(reader, dev) + bytes > total;
    if (!refused) {
        mine[dev].bytes += bytes;
        write_mine(dev);
    }
    close(reader);
    pthread_mutex_unlock(&mutex);
    return refused ? -1 : 0;
}

void fakenv_memory_give(int dev, size_t bytes)
{
    pthread_mutex_lock(&mutex);
    mine[dev].bytes -= bytes > mine[dev].bytes ? mine[dev].bytes : bytes;
    if (mine[dev].fd) write_mine(dev);
    pthread_mutex_unlock(&mutex);
}

uint64_t fakenv_memory_used(int dev)
{
    int fd = table_open("memory");
    if (fd < 0) return 0;
    uint64_t used = used_by_all(fd, dev);
    close(fd);
    return used;
}

uint64_t fakenv_memory_mine(int dev) { return mine[dev].bytes; }
