/* libcuda.so.1: devices, contexts, streams and kernels, as far as FFmpeg uses them. */
#define _GNU_SOURCE
#include <ctype.h>
#include <ffnvcodec/dynlink_cuda.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_status.h"
#include "gpu.h"
#include "ptx.h"

enum { STACK = 32 };

struct context {
    int dev;
};
struct module {
    char *ptx;
};
struct function {
    struct function *next;
    struct module *module;
    struct ptx_kernel *kernel;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int initialized, visible[FAKENV_MAX_DEVICES], visible_count;
static struct context primary[FAKENV_MAX_DEVICES];
static int primary_users[FAKENV_MAX_DEVICES];
static unsigned primary_flags[FAKENV_MAX_DEVICES];
static __thread struct context *stack[STACK];
static __thread int depth;
static struct function *functions;

int fakenv_cuda_enter(int dev, const char *call)
{
    int status = fakenv_fault(dev, call);
    if (status == FAKENV_LOST) return E_UNKNOWN;
    return status || initialized ? status : E_NOT_INITIALIZED;
}

int fakenv_has_context(void) { return depth > 0; }

int fakenv_context_device(void *context)
{
    if (context) return ((struct context *)context)->dev;
    return depth ? stack[depth - 1]->dev : FAKENV_ANY;
}

/* --- errors --- */

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    { 0, "CUDA_SUCCESS", "no error" },
    { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
    { 4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down" },
    { 46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable" },
    { 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected" },
    { 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
    { 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
    { 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
    { 209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device" },
    { 214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered" },
    { 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
    { 222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain." },
    { 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" },
    { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
    { 702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated" },
    { 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
    { 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported" },
    { 802, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized" },
    { 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination" },
    { 804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "forward compatibility was attempted on non supported HW" },
    { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

static CUresult find_error(CUresult error, const char **name, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == (int)error) {
            *name = errors[i].name;
            *text = errors[i].text;
            return CUDA_SUCCESS;
        }
    *name = *text = NULL;
    return (CUresult)E_INVALID_VALUE;
}

CU_API cuGetErrorName(CUresult error, const char **out)
{
    const char *text;
    return find_error(error, out, &text);
}

CU_API cuGetErrorString(CUresult error, const char **out)
{
    const char *name;
    return find_error(error, &name, out);
}

/* --- devices: CUDA numbers the visible ones from 0 in its own order, NVML numbers all of them by PCI bus --- */

static void order_devices(int *out, int n)
{
    const char *order = getenv("CUDA_DEVICE_ORDER");
    int best = 0;
    for (int i = 0; i < n; i++) out[i] = i;
    if (order && !strcmp(order, "PCI_BUS_ID")) return;
    for (int i = 1; i < n; i++)
        if (fakenv_number(i, "speed", 0) > fakenv_number(best, "speed", 0)) best = i;
    memmove(out + 1, out, (size_t)best * sizeof *out); /* FASTEST_FIRST promises no more than its name */
    out[0] = best;
}

static int find_device(const char *token, size_t length, const int *ordered, int n)
{
    int hit = -1;
    if (length && isdigit((unsigned char)*token)) {
        long i = strtol(token, NULL, 10);
        return i < n ? ordered[i] : -1;
    }
    if (length < 5 || strncmp(token, "GPU-", 4)) return -1;
    for (int i = 0; i < n; i++) {
        if (strncmp(fakenv_text(i, "uuid", ""), token, length)) continue;
        if (hit >= 0) return -1; /* a prefix must be unique */
        hit = i;
    }
    return hit;
}

/* What follows an entry that names no device is invisible; a device named twice hides all of them. */
static void choose_devices(void)
{
    int ordered[FAKENV_MAX_DEVICES], n = fakenv_devices();
    const char *wish = getenv("CUDA_VISIBLE_DEVICES");
    order_devices(ordered, n);
    visible_count = 0;
    if (!wish) {
        memcpy(visible, ordered, sizeof ordered);
        visible_count = n;
        return;
    }
    while (visible_count < FAKENV_MAX_DEVICES) {
        wish += strspn(wish, " ");
        size_t length = strcspn(wish, ", ");
        int dev = find_device(wish, length, ordered, n);
        if (dev < 0) return;
        for (int i = 0; i < visible_count; i++)
            if (visible[i] == dev) {
                visible_count = 0;
                return;
            }
        visible[visible_count++] = dev;
        wish += length;
        wish += strspn(wish, " ");
        if (*wish++ != ',') return;
    }
}

static int bad_device(CUdevice d) { return d < 0 || d >= visible_count; }

CU_API cuInit(unsigned flags)
{
    (void)flags;
    if (!fakenv_allowed()) return (CUresult)E_NO_DEVICE;
    int status = fakenv_fault(FAKENV_ANY, "cuInit");
    if (status) return (CUresult)(status == FAKENV_LOST ? E_UNKNOWN : status);
    pthread_mutex_lock(&lock);
    if (!initialized) {
        choose_devices();
        initialized = visible_count > 0;
        if (initialized) fakenv_log(FAKENV_ANY, "cuInit", "\"visible\":%d", visible_count);
    }
    pthread_mutex_unlock(&lock);
    return (CUresult)(initialized ? 0 : E_NO_DEVICE);
}

CU_API cuDriverGetVersion(int *out)
{
    *out = (int)fakenv_number(FAKENV_ANY, "cuda", 0);
    return CUDA_SUCCESS;
}

CU_API cuDeviceGetCount(int *out)
{
    ENTER(FAKENV_ANY, "cuDeviceGetCount");
    *out = visible_count;
    return CUDA_SUCCESS;
}

CU_API cuDeviceGet(CUdevice *out, int ordinal)
{
    ENTER(FAKENV_ANY, "cuDeviceGet");
    if (bad_device(ordinal)) return (CUresult)E_INVALID_DEVICE;
    *out = ordinal;
    return CUDA_SUCCESS;
}

CU_API cuDeviceGetName(char *out, int size, CUdevice d)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    ENTER(visible[d], "cuDeviceGetName");
    snprintf(out, (size_t)size, "%s", fakenv_text(visible[d], "name", ""));
    return CUDA_SUCCESS;
}

CU_API cuDeviceComputeCapability(int *major, int *minor, CUdevice d)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    ENTER(visible[d], "cuDeviceComputeCapability");
    sscanf(fakenv_text(visible[d], "compute", "0.0"), "%d.%d", major, minor);
    return CUDA_SUCCESS;
}

CU_API cuDeviceGetAttribute(int *out, CUdevice_attribute attribute, CUdevice d)
{
    int major = 0, minor = 0;
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    ENTER(visible[d], "cuDeviceGetAttribute");
    sscanf(fakenv_text(visible[d], "compute", "0.0"), "%d.%d", &major, &minor);
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: *out = 512; break;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT: *out = 32; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *out = (int)fakenv_number(visible[d], "speed", 16); break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *out = major; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *out = minor; break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *out = 1; break;
    default: *out = 0;
    }
    return CUDA_SUCCESS;
}

CU_API cuDeviceGetUuid(CUuuid *out, CUdevice d)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    ENTER(visible[d], "cuDeviceGetUuid");
    const char *text = fakenv_text(visible[d], "uuid", "GPU-") + strlen("GPU-");
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 16 && *text; i++, text += 2) {
        unsigned byte = 0;
        if (*text == '-') text++;
        sscanf(text, "%2x", &byte);
        out->bytes[i] = (char)byte;
    }
    return CUDA_SUCCESS;
}

CU_API cuDeviceGetUuid_v2(CUuuid *out, CUdevice d) { return cuDeviceGetUuid(out, d); }

/* --- contexts --- */

static size_t context_cost(int dev) { return (size_t)fakenv_number(dev, "context_mb", 0) << 20; }

CU_API cuCtxCreate_v2(CUcontext *out, unsigned flags, CUdevice d)
{
    (void)flags;
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    int dev = visible[d];
    ENTER(dev, "cuCtxCreate");
    if (depth >= STACK) return (CUresult)E_INVALID_VALUE;
    if (fakenv_memory_take(dev, context_cost(dev))) return (CUresult)E_OUT_OF_MEMORY;
    struct context *c = calloc(1, sizeof *c);
    c->dev = dev;
    stack[depth++] = c;
    *out = (CUcontext)c;
    fakenv_log(dev, "cuCtxCreate", "\"bytes\":%zu", context_cost(dev));
    return CUDA_SUCCESS;
}

CU_API cuCtxDestroy_v2(CUcontext context)
{
    struct context *c = (struct context *)context;
    if (!c) return (CUresult)E_INVALID_VALUE;
    int dev = c->dev, kept = 0;
    for (int i = 0; i < depth; i++)
        if (stack[i] != c) stack[kept++] = stack[i];
    depth = kept;
    fakenv_memory_give(dev, context_cost(dev));
    free(c);
    fakenv_log(dev, "cuCtxDestroy", "\"left_bytes\":%llu", (unsigned long long)fakenv_memory_mine(dev));
    return CUDA_SUCCESS;
}

CU_API cuCtxPushCurrent_v2(CUcontext context)
{
    if (!context || depth >= STACK) return (CUresult)E_INVALID_CONTEXT;
    ENTER(fakenv_context_device(context), "cuCtxPushCurrent");
    stack[depth++] = (struct context *)context;
    return CUDA_SUCCESS;
}

CU_API cuCtxPopCurrent_v2(CUcontext *out)
{
    NEED_CONTEXT();
    depth--;
    if (out) *out = (CUcontext)stack[depth];
    return CUDA_SUCCESS;
}

CU_API cuCtxGetCurrent(CUcontext *out)
{
    *out = depth ? (CUcontext)stack[depth - 1] : NULL;
    return CUDA_SUCCESS;
}

CU_API cuCtxGetDevice(CUdevice *out)
{
    NEED_CONTEXT();
    for (int i = 0; i < visible_count; i++)
        if (visible[i] == CURRENT) *out = i;
    return CUDA_SUCCESS;
}

CU_API cuCtxSetLimit(CUlimit limit, size_t value)
{
    (void)limit, (void)value;
    return CUDA_SUCCESS;
}

CU_API cuCtxSynchronize(void)
{
    ENTER(CURRENT, "cuCtxSynchronize");
    NEED_CONTEXT();
    return CUDA_SUCCESS;
}

CU_API cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice d)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    int dev = visible[d];
    ENTER(dev, "cuCtxCreate");
    if (!primary_users[dev] && fakenv_memory_take(dev, context_cost(dev))) return (CUresult)E_OUT_OF_MEMORY;
    primary_users[dev]++;
    primary[dev].dev = dev;
    *out = (CUcontext)&primary[dev];
    return CUDA_SUCCESS;
}

CU_API cuDevicePrimaryCtxRelease(CUdevice d)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    int dev = visible[d];
    if (primary_users[dev] && !--primary_users[dev]) fakenv_memory_give(dev, context_cost(dev));
    return CUDA_SUCCESS;
}

CU_API cuDevicePrimaryCtxSetFlags(CUdevice d, unsigned flags)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    primary_flags[visible[d]] = flags;
    return CUDA_SUCCESS;
}

CU_API cuDevicePrimaryCtxGetState(CUdevice d, unsigned *flags, int *active)
{
    if (bad_device(d)) return (CUresult)E_INVALID_DEVICE;
    *flags = primary_flags[visible[d]];
    *active = primary_users[visible[d]] > 0;
    return CUDA_SUCCESS;
}

CU_API cuDevicePrimaryCtxReset(CUdevice d) { return (CUresult)(bad_device(d) ? E_INVALID_DEVICE : 0); }

/* --- streams and events: everything is finished when the call returns --- */

CU_API cuStreamCreate(CUstream *out, unsigned flags)
{
    (void)flags;
    *out = malloc(1);
    return CUDA_SUCCESS;
}

CU_API cuStreamCreateWithPriority(CUstream *out, unsigned flags, int priority)
{
    (void)priority;
    return cuStreamCreate(out, flags);
}

CU_API cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}

CU_API cuStreamDestroy_v2(CUstream stream)
{
    free(stream);
    return CUDA_SUCCESS;
}

CU_API cuStreamQuery(CUstream stream)
{
    (void)stream;
    ENTER(CURRENT, "cuStreamQuery");
    return CUDA_SUCCESS;
}

CU_API cuStreamSynchronize(CUstream stream)
{
    (void)stream;
    ENTER(CURRENT, "cuStreamSynchronize");
    return CUDA_SUCCESS;
}

CU_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream, (void)event, (void)flags;
    return CUDA_SUCCESS;
}

CU_API cuStreamAddCallback(CUstream stream, CUstreamCallback *callback, void *data, unsigned flags)
{
    (void)flags;
    callback(stream, CUDA_SUCCESS, data);
    return CUDA_SUCCESS;
}

CU_API cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *data)
{
    (void)stream;
    function(data);
    return CUDA_SUCCESS;
}

CU_API cuEventCreate(CUevent *out, unsigned flags)
{
    (void)flags;
    *out = malloc(1);
    return CUDA_SUCCESS;
}

CU_API cuEventDestroy_v2(CUevent event)
{
    free(event);
    return CUDA_SUCCESS;
}

CU_API cuEventSynchronize(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}

CU_API cuEventQuery(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}

CU_API cuEventRecord(CUevent event, CUstream stream)
{
    (void)event, (void)stream;
    return CUDA_SUCCESS;
}

/* --- modules and kernels --- */

CU_API cuModuleLoadData(CUmodule *out, const void *image)
{
    ENTER(CURRENT, "cuModuleLoadData");
    NEED_CONTEXT();
    if (!strstr(image, ".version")) return (CUresult)E_INVALID_IMAGE; /* PTX text, no machine code */
    struct module *m = malloc(sizeof *m);
    m->ptx = strdup(image);
    *out = (CUmodule)m;
    return CUDA_SUCCESS;
}

CU_API cuModuleUnload(CUmodule module)
{
    struct module *m = (struct module *)module;
    pthread_mutex_lock(&lock);
    for (struct function **at = &functions; *at;) {
        struct function *f = *at;
        if (f->module != m) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        ptx_free(f->kernel);
        free(f);
    }
    pthread_mutex_unlock(&lock);
    free(m->ptx);
    free(m);
    return CUDA_SUCCESS;
}

CU_API cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name)
{
    char entry[200];
    struct module *m = (struct module *)module;
    ENTER(CURRENT, "cuModuleGetFunction");
    snprintf(entry, sizeof entry, ".entry %s(", name);
    const char *at = strstr(m->ptx, entry);
    if (!at) return (CUresult)E_NOT_FOUND;
    struct function *f = calloc(1, sizeof *f);
    f->kernel = ptx_load(at);
    f->module = m;
    const char *unknown = ptx_unknown(f->kernel);
    if (unknown) fprintf(stderr, "fake NVIDIA driver: kernel %s: cannot run '%s', a launch will fail\n", name, unknown);
    pthread_mutex_lock(&lock);
    f->next = functions;
    functions = f;
    pthread_mutex_unlock(&lock);
    *out = (CUfunction)f;
    return CUDA_SUCCESS;
}

CU_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **arguments,
                      void **extra)
{
    (void)grid_z, (void)block_z, (void)shared, (void)stream, (void)extra;
    ENTER(CURRENT, "cuLaunchKernel");
    NEED_CONTEXT();
    return (CUresult)ptx_run(((struct function *)function)->kernel, grid_x, grid_y, block_x, block_y, arguments);
}

/* --- loaded by FFmpeg, never called on the paths that are emulated --- */

#define UNSUPPORTED(name) \
    CU_API name(void) { return (CUresult)E_NOT_SUPPORTED; }
UNSUPPORTED(cuLinkCreate)
UNSUPPORTED(cuLinkAddData)
UNSUPPORTED(cuLinkComplete)
UNSUPPORTED(cuLinkDestroy)
UNSUPPORTED(cuModuleGetGlobal)
UNSUPPORTED(cuGLGetDevices_v2)
UNSUPPORTED(cuGraphicsGLRegisterImage)
UNSUPPORTED(cuGraphicsUnregisterResource)
UNSUPPORTED(cuGraphicsMapResources)
UNSUPPORTED(cuGraphicsUnmapResources)
UNSUPPORTED(cuGraphicsSubResourceGetMappedArray)
UNSUPPORTED(cuGraphicsResourceGetMappedPointer_v2)
UNSUPPORTED(cuArrayCreate_v2)
UNSUPPORTED(cuArray3DCreate_v2)
UNSUPPORTED(cuArrayDestroy)
UNSUPPORTED(cuArray3DGetDescriptor_v2)
UNSUPPORTED(cuArrayGetPlane)
