/* What the fake libraries share: the machine's description, faults, the journal, and what all processes know of each
 * other. Everything lies in the directory named by FAKENV_STATE; without it the libraries refuse to work. */
#ifndef FAKENV_CORE_H
#define FAKENV_CORE_H
#include <stddef.h>
#include <stdint.h>

#define FAKENV_MAX_DEVICES 16
#define FAKENV_ANY (-1) /* a call that concerns no device */
#define FAKENV_LOST (-2) /* fault: the device is gone; each library has its own status for it */

/* libnvidia-encode and libnvcuvid use the copy inside libcuda; everything else stays hidden. */
#define FAKENV_SHARED __attribute__((visibility("default")))

FAKENV_SHARED int fakenv_allowed(void);
FAKENV_SHARED const char *fakenv_text(int dev, const char *key, const char *otherwise);
FAKENV_SHARED long fakenv_number(int dev, const char *key, long otherwise);
FAKENV_SHARED int fakenv_devices(void);
FAKENV_SHARED int fakenv_fault(int dev, const char *call);
FAKENV_SHARED void fakenv_log(int dev, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- between processes --- */

typedef struct {
    int32_t dev, pid, codec, width, height, reserved;
    uint64_t bytes;
} fakenv_record;

#define FAKENV_MAX_RECORDS 512

/* Taking and refusing happen under one lock, so that no two processes both get the last session. */
FAKENV_SHARED int fakenv_session_open(int dev); /* a handle, or -1: no session is free */
FAKENV_SHARED void fakenv_session_describe(int session, int dev, int codec, int width, int height);
FAKENV_SHARED void fakenv_session_close(int session);
FAKENV_SHARED int fakenv_sessions(int dev, fakenv_record *out); /* dev or FAKENV_ANY; out has FAKENV_MAX_RECORDS */

FAKENV_SHARED int fakenv_memory_take(int dev, size_t bytes); /* 0, or -1: the device has no more */
FAKENV_SHARED void fakenv_memory_give(int dev, size_t bytes);
FAKENV_SHARED uint64_t fakenv_memory_used(int dev); /* by all processes */
FAKENV_SHARED uint64_t fakenv_memory_mine(int dev); /* by this process */
#endif
