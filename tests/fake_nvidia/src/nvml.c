/* libnvidia-ml.so.1, as far as nvidia-ml-py and nvidia-smi use it. It knows all devices, whatever CUDA_VISIBLE_DEVICES
 * says, and reads what is in use from what the processes share. */
#define _GNU_SOURCE
#include "core.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <strings.h>

#define API __attribute__((visibility("default"))) int
#define TEXT __attribute__((visibility("default"))) const char *
typedef void *device;
enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID = 2,
    UNSUPPORTED = 3,
    NOT_FOUND = 6,
    TOO_SMALL = 7,
    NO_DRIVER = 9,
    LOST = 15
};

struct memory {
    unsigned long long total, unused, used;
};
struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, unused, used;
};
struct encoder_session {
    unsigned id, pid, vgpu, codec, width, height, fps, latency;
};
struct pci {
    char legacy_id[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32];
};
struct utilization {
    unsigned gpu, memory;
};

static int users;

static int index_of(device d) { return (int)(uintptr_t)d - 1; } /* a handle is never NULL */
static device handle_of(int index) { return (device)(uintptr_t)(index + 1); }

static int enter(int dev, const char *call)
{
    int status = fakenv_fault(dev, call);
    if (status) return status == FAKENV_LOST ? LOST : status;
    if (!users) return UNINITIALIZED;
    return dev < 0 || dev < fakenv_devices() ? OK : INVALID;
}
#define ENTER(dev)                        \
    do {                                  \
        int status_ = enter(dev, "nvml"); \
        if (status_) return status_;      \
    } while (0)

API nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    if (!fakenv_allowed()) return NO_DRIVER;
    int status = fakenv_fault(FAKENV_ANY, "nvmlInit");
    if (status) return status == FAKENV_LOST ? LOST : status;
    users++;
    return OK;
}

API nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

API nvmlShutdown(void)
{
    if (!users) return UNINITIALIZED;
    users--;
    return OK;
}

TEXT nvmlErrorString(int status)
{
    switch (status) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case UNSUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case TOO_SMALL: return "Insufficient Size";
    case NO_DRIVER: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

static int text(char *out, unsigned room, const char *value)
{
    if (strlen(value) >= room) return TOO_SMALL;
    strcpy(out, value);
    return OK;
}

API nvmlSystemGetDriverVersion(char *out, unsigned room)
{
    ENTER(FAKENV_ANY);
    return text(out, room, fakenv_text(FAKENV_ANY, "driver", ""));
}

API nvmlSystemGetNVMLVersion(char *out, unsigned room)
{
    char version[64];
    ENTER(FAKENV_ANY);
    snprintf(version, sizeof version, "%ld.%s", fakenv_number(FAKENV_ANY, "cuda", 0) / 1000,
             fakenv_text(FAKENV_ANY, "driver", ""));
    return text(out, room, version);
}

API nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    ENTER(FAKENV_ANY);
    *out = (int)fakenv_number(FAKENV_ANY, "cuda", 0);
    return OK;
}

API nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

/* --- devices --- */

API nvmlDeviceGetCount_v2(unsigned *out)
{
    ENTER(FAKENV_ANY);
    *out = (unsigned)fakenv_devices();
    return OK;
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, device *out)
{
    if (index >= (unsigned)fakenv_devices()) return INVALID;
    ENTER((int)index);
    *out = handle_of((int)index);
    return OK;
}

static int find(const char *key, const char *value, device *out)
{
    for (int i = 0; i < fakenv_devices(); i++)
        if (!strcasecmp(fakenv_text(i, key, ""), value)) {
            ENTER(i);
            *out = handle_of(i);
            return OK;
        }
    return NOT_FOUND;
}

API nvmlDeviceGetHandleByUUID(const char *uuid, device *out) { return find("uuid", uuid, out); }
API nvmlDeviceGetHandleByPciBusId_v2(const char *id, device *out) { return find("pci", id, out); }

API nvmlDeviceGetIndex(device d, unsigned *out)
{
    ENTER(index_of(d));
    *out = (unsigned)index_of(d);
    return OK;
}

API nvmlDeviceGetMinorNumber(device d, unsigned *out) { return nvmlDeviceGetIndex(d, out); }

API nvmlDeviceGetName(device d, char *out, unsigned room)
{
    ENTER(index_of(d));
    return text(out, room, fakenv_text(index_of(d), "name", ""));
}

API nvmlDeviceGetUUID(device d, char *out, unsigned room)
{
    ENTER(index_of(d));
    return text(out, room, fakenv_text(index_of(d), "uuid", ""));
}

API nvmlDeviceGetPciInfo_v3(device d, struct pci *out)
{
    const char *id = fakenv_text(index_of(d), "pci", "");
    ENTER(index_of(d));
    memset(out, 0, sizeof *out);
    snprintf(out->id, sizeof out->id, "%s", id);
    snprintf(out->legacy_id, sizeof out->legacy_id, "%.15s",
             strlen(id) > 4 ? id + 4 : id); /* four digits of domain, not eight */
    sscanf(id, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    out->device_id = 0xfa4e10de;
    return OK;
}

API nvmlDeviceGetCudaComputeCapability(device d, int *major, int *minor)
{
    ENTER(index_of(d));
    sscanf(fakenv_text(index_of(d), "compute", "0.0"), "%d.%d", major, minor);
    return OK;
}

API nvmlDeviceGetTemperature(device d, int sensor, unsigned *out)
{
    (void)sensor;
    ENTER(index_of(d));
    *out = 40;
    return OK;
}

/* --- what is in use --- */

static struct memory memory_of(int dev)
{
    struct memory m = { .total = (unsigned long long)fakenv_number(dev, "vram_mb", 0) << 20,
                        .used = fakenv_memory_used(dev) };
    m.unused = m.total > m.used ? m.total - m.used : 0;
    return m;
}

API nvmlDeviceGetMemoryInfo(device d, struct memory *out)
{
    ENTER(index_of(d));
    *out = memory_of(index_of(d));
    return OK;
}

API nvmlDeviceGetMemoryInfo_v2(device d, struct memory_v2 *out)
{
    ENTER(index_of(d));
    struct memory m = memory_of(index_of(d));
    out->total = m.total;
    out->reserved = 0;
    out->unused = m.unused;
    out->used = m.used;
    return OK;
}

static int sessions(int dev, fakenv_record *out)
{
    fakenv_record all[FAKENV_MAX_RECORDS];
    int n = fakenv_sessions(dev, all);
    if (out) memcpy(out, all, (size_t)n * sizeof *out);
    return n;
}

/* A session keeps an engine busy to a third. */
static unsigned load(int dev)
{
    long engines = fakenv_number(dev, "engines", 1);
    long percent = 33L * sessions(dev, NULL) / (engines > 0 ? engines : 1);
    return (unsigned)(percent > 100 ? 100 : percent);
}

API nvmlDeviceGetUtilizationRates(device d, struct utilization *out)
{
    ENTER(index_of(d));
    struct memory m = memory_of(index_of(d));
    out->gpu = load(index_of(d)) / 4;
    out->memory = (unsigned)(m.total ? 100 * m.used / m.total : 0);
    return OK;
}

static const unsigned SAMPLING_US = 167000;

API nvmlDeviceGetEncoderUtilization(device d, unsigned *out, unsigned *period_us)
{
    ENTER(index_of(d));
    *out = load(index_of(d));
    *period_us = SAMPLING_US;
    return OK;
}

API nvmlDeviceGetDecoderUtilization(device d, unsigned *out, unsigned *period_us)
{
    ENTER(index_of(d));
    *out = 0;
    *period_us = SAMPLING_US;
    return OK;
}

/* Always 60 watts, which are 60 millijoules in a millisecond. */
API nvmlDeviceGetTotalEnergyConsumption(device d, unsigned long long *out)
{
    struct timespec now;
    ENTER(index_of(d));
    clock_gettime(CLOCK_MONOTONIC, &now);
    *out = 60ULL * ((unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000);
    return OK;
}

API nvmlDeviceGetEncoderCapacity(device d, int codec, unsigned *out)
{
    ENTER(index_of(d));
    if (!fakenv_text(index_of(d), codec ? "hevc" : "h264", NULL)) return UNSUPPORTED;
    *out = 100 - load(index_of(d));
    return OK;
}

API nvmlDeviceGetEncoderStats(device d, unsigned *count, unsigned *fps, unsigned *latency)
{
    ENTER(index_of(d));
    *count = (unsigned)sessions(index_of(d), NULL);
    *fps = *latency = 0;
    return OK;
}

API nvmlDeviceGetEncoderSessions(device d, unsigned *count, struct encoder_session *out)
{
    fakenv_record all[FAKENV_MAX_RECORDS];
    ENTER(index_of(d));
    unsigned n = (unsigned)sessions(index_of(d), all), room = *count;
    *count = n;
    if (!out) return OK;
    if (room < n) return TOO_SMALL;
    for (unsigned i = 0; i < n; i++)
        out[i] = (struct encoder_session){ .id = i,
                                           .pid = (unsigned)all[i].pid,
                                           .codec = (unsigned)all[i].codec,
                                           .width = (unsigned)all[i].width,
                                           .height = (unsigned)all[i].height };
    return OK;
}
