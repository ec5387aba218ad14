/* Device memory and textures of libcuda.so.1. Device memory is host memory; a list says which addresses are valid, so
 * that a wrong address in a copy or a kernel fails as it does on a GPU. */
#define _GNU_SOURCE
#include <ffnvcodec/dynlink_cuda.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_status.h"
#include "gpu.h"

struct allocation {
    struct allocation *next;
    uint64_t p;
    size_t n;
    int dev;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct allocation *allocations;
static unsigned generation = 1; /* changes when an allocation goes, so that nobody trusts a remembered one */

/* Kernels ask for every access, nearly always for the same few allocations. */
int fakenv_device_range(uint64_t p, size_t n)
{
    enum { REMEMBERED = 4 };
    static __thread struct {
        uint64_t p;
        size_t n;
        unsigned generation;
    } cache[REMEMBERED];
    static __thread unsigned turn;
    unsigned now = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    int hit = 0;
    for (int i = 0; i < REMEMBERED; i++)
        if (cache[i].generation == now && p >= cache[i].p && p + n <= cache[i].p + cache[i].n) return 1;
    pthread_mutex_lock(&lock);
    for (struct allocation *a = allocations; a && !hit; a = a->next) {
        hit = p >= a->p && p + n <= a->p + a->n;
        if (!hit) continue;
        turn = (turn + 1) % REMEMBERED;
        cache[turn].p = a->p;
        cache[turn].n = a->n;
        cache[turn].generation = now;
    }
    pthread_mutex_unlock(&lock);
    return hit;
}

CU_API cuMemAlloc_v2(CUdeviceptr *out, size_t n)
{
    ENTER(CURRENT, "cuMemAlloc");
    NEED_CONTEXT();
    void *p = NULL;
    if (!n) return (CUresult)E_INVALID_VALUE;
    if (fakenv_memory_take(CURRENT, n)) {
        fakenv_log(CURRENT, "out of memory", "\"bytes\":%zu", n);
        return (CUresult)E_OUT_OF_MEMORY;
    }
    if (posix_memalign(&p, 512, n)) abort();
    memset(p, 0xcd, n); /* never a picture that looks right by chance */
    struct allocation *a = malloc(sizeof *a);
    *a = (struct allocation){ allocations, (uint64_t)(uintptr_t)p, n, CURRENT };
    pthread_mutex_lock(&lock);
    a->next = allocations;
    allocations = a;
    pthread_mutex_unlock(&lock);
    *out = a->p;
    return CUDA_SUCCESS;
}

CU_API cuMemAllocPitch_v2(CUdeviceptr *out, size_t *pitch, size_t width, size_t height, unsigned element)
{
    (void)element;
    *pitch = (width + 511) & ~(size_t)511;
    return cuMemAlloc_v2(out, *pitch * height);
}

CU_API cuMemAllocManaged(CUdeviceptr *out, size_t n, unsigned flags)
{
    (void)flags;
    return cuMemAlloc_v2(out, n);
}

CU_API cuMemAllocAsync(CUdeviceptr *out, size_t n, CUstream stream)
{
    (void)stream;
    return cuMemAlloc_v2(out, n);
}

CU_API cuMemFree_v2(CUdeviceptr p)
{
    struct allocation *hit = NULL;
    pthread_mutex_lock(&lock);
    for (struct allocation **at = &allocations; *at && !hit; at = &(*at)->next)
        if ((*at)->p == p) {
            hit = *at;
            *at = hit->next;
            __atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
            break;
        }
    pthread_mutex_unlock(&lock);
    if (!hit) return (CUresult)E_INVALID_VALUE;
    fakenv_memory_give(hit->dev, hit->n);
    free((void *)(uintptr_t)hit->p);
    free(hit);
    return CUDA_SUCCESS;
}

CU_API cuMemFreeAsync(CUdeviceptr p, CUstream stream)
{
    (void)stream;
    return cuMemFree_v2(p);
}

CU_API cuMemHostAlloc(void **out, size_t n, unsigned flags)
{
    (void)flags;
    ENTER(CURRENT, "cuMemHostAlloc");
    *out = malloc(n);
    return CUDA_SUCCESS;
}

CU_API cuMemFreeHost(void *p)
{
    free(p);
    return CUDA_SUCCESS;
}

/* --- copies --- */

enum { TO_DEVICE = 1, FROM_DEVICE = 2 };

static CUresult copy(CUdeviceptr to, CUdeviceptr from, size_t n, int sides)
{
    ENTER(CURRENT, "cuMemcpy");
    NEED_CONTEXT();
    if (sides & TO_DEVICE && !fakenv_device_range(to, n)) return (CUresult)E_INVALID_VALUE;
    if (sides & FROM_DEVICE && !fakenv_device_range(from, n)) return (CUresult)E_INVALID_VALUE;
    memmove((void *)(uintptr_t)to, (void *)(uintptr_t)from, n);
    return CUDA_SUCCESS;
}

CU_API cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) { return copy(to, from, n, 0); }
CU_API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) { return copy(to, (uintptr_t)from, n, TO_DEVICE); }
CU_API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) { return copy((uintptr_t)to, from, n, FROM_DEVICE); }
CU_API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n)
{
    return copy(to, from, n, TO_DEVICE | FROM_DEVICE);
}

CU_API cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream)
{
    (void)stream;
    return copy(to, from, n, 0);
}

CU_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream stream)
{
    (void)stream;
    return copy(to, (uintptr_t)from, n, TO_DEVICE);
}

CU_API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream stream)
{
    (void)stream;
    return copy((uintptr_t)to, from, n, FROM_DEVICE);
}

CU_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream)
{
    (void)stream;
    return copy(to, from, n, TO_DEVICE | FROM_DEVICE);
}

CU_API cuMemcpy2D_v2(const CUDA_MEMCPY2D *c)
{
    ENTER(CURRENT, "cuMemcpy2D");
    NEED_CONTEXT();
    if (c->srcMemoryType == CU_MEMORYTYPE_ARRAY || c->dstMemoryType == CU_MEMORYTYPE_ARRAY)
        return (CUresult)E_NOT_SUPPORTED;
    if (!c->WidthInBytes || !c->Height) return CUDA_SUCCESS;
    int src_dev = c->srcMemoryType == CU_MEMORYTYPE_DEVICE, dst_dev = c->dstMemoryType == CU_MEMORYTYPE_DEVICE;
    uint64_t from = src_dev ? c->srcDevice : (uintptr_t)c->srcHost, to = dst_dev ? c->dstDevice : (uintptr_t)c->dstHost;
    from += c->srcY * c->srcPitch + c->srcXInBytes;
    to += c->dstY * c->dstPitch + c->dstXInBytes;
    size_t rows = c->Height - 1;
    if (src_dev && !fakenv_device_range(from, rows * c->srcPitch + c->WidthInBytes)) return (CUresult)E_INVALID_VALUE;
    if (dst_dev && !fakenv_device_range(to, rows * c->dstPitch + c->WidthInBytes)) return (CUresult)E_INVALID_VALUE;
    for (size_t y = 0; y <= rows; y++)
        memcpy((void *)(uintptr_t)(to + y * c->dstPitch), (void *)(uintptr_t)(from + y * c->srcPitch), c->WidthInBytes);
    return CUDA_SUCCESS;
}

CU_API cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *c, CUstream stream)
{
    (void)stream;
    return cuMemcpy2D_v2(c);
}

static CUresult fill(CUdeviceptr to, size_t pitch, const void *value, size_t size, size_t width, size_t height)
{
    ENTER(CURRENT, "cuMemset");
    if (!width || !height) return CUDA_SUCCESS;
    if (!fakenv_device_range(to, pitch * (height - 1) + width * size)) return (CUresult)E_INVALID_VALUE;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) memcpy((char *)(uintptr_t)to + y * pitch + x * size, value, size);
    return CUDA_SUCCESS;
}

CU_API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream)
{
    (void)stream;
    return fill(to, 0, &value, sizeof value, n, 1);
}

CU_API cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream)
{
    (void)stream;
    return fill(to, 0, &value, sizeof value, n, 1);
}

CU_API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream)
{
    (void)stream;
    return fill(to, 0, &value, sizeof value, n, 1);
}

CU_API cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height,
                         CUstream stream)
{
    (void)stream;
    return fill(to, pitch, &value, sizeof value, width, height);
}

CU_API cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height,
                          CUstream stream)
{
    (void)stream;
    return fill(to, pitch, &value, sizeof value, width, height);
}

CU_API cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height, CUstream stream)
{
    (void)stream;
    return fill(to, pitch, &value, sizeof value, width, height);
}

/* --- textures: the object is the address of what describes it --- */

CU_API cuTexObjectCreate(CUtexObject *out, const CUDA_RESOURCE_DESC *r, const CUDA_TEXTURE_DESC *t,
                         const CUDA_RESOURCE_VIEW_DESC *view)
{
    enum { NORMALIZED_COORDINATES = 2 };
    (void)view;
    ENTER(CURRENT, "cuTexObjectCreate");
    if (r->resType != CU_RESOURCE_TYPE_PITCH2D) return (CUresult)E_NOT_SUPPORTED;
    fakenv_texture x = {
        .data = (const uint8_t *)(uintptr_t)r->res.pitch2D.devPtr,
        .pitch = r->res.pitch2D.pitchInBytes,
        .width = r->res.pitch2D.width,
        .height = r->res.pitch2D.height,
        .bytes = r->res.pitch2D.format == CU_AD_FORMAT_UNSIGNED_INT16 ? 2 : 1,
        .channels = (int)r->res.pitch2D.numChannels,
        .linear = t->filterMode == CU_TR_FILTER_MODE_LINEAR,
        .normalized = !!(t->flags & NORMALIZED_COORDINATES),
    };
    size_t row = x.width * (size_t)x.bytes * (size_t)x.channels;
    if (!fakenv_device_range(r->res.pitch2D.devPtr, x.pitch * (x.height - 1) + row)) return (CUresult)E_INVALID_VALUE;
    fakenv_texture *object = malloc(sizeof *object);
    *object = x;
    *out = (CUtexObject)(uintptr_t)object;
    return CUDA_SUCCESS;
}

CU_API cuTexObjectDestroy(CUtexObject object)
{
    free((void *)(uintptr_t)object);
    return CUDA_SUCCESS;
}
