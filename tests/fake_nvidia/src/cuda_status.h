/* CUresult values by their public names: the headers at hand name only those that FFmpeg compares. */
#ifndef FAKENV_CUDA_STATUS_H
#define FAKENV_CUDA_STATUS_H

#define CU_API __attribute__((visibility("default"))) CUresult

enum {
    E_INVALID_VALUE = 1,
    E_OUT_OF_MEMORY = 2,
    E_NOT_INITIALIZED = 3,
    E_NO_DEVICE = 100,
    E_INVALID_DEVICE = 101,
    E_INVALID_IMAGE = 200,
    E_INVALID_CONTEXT = 201,
    E_NOT_FOUND = 500,
    E_ILLEGAL_ADDRESS = 700,
    E_LAUNCH_TIMEOUT = 702,
    E_NOT_SUPPORTED = 801,
    E_UNKNOWN = 999,
};

/* Every entry point names itself to the faults; a lost device answers CUDA_ERROR_UNKNOWN. */
int fakenv_cuda_enter(int dev, const char *call);
#define ENTER(dev, call)                            \
    do {                                            \
        int status_ = fakenv_cuda_enter(dev, call); \
        if (status_) return (CUresult)status_;      \
    } while (0)
#define CURRENT fakenv_context_device(NULL)
#define NEED_CONTEXT()                                                 \
    do {                                                               \
        if (!fakenv_has_context()) return (CUresult)E_INVALID_CONTEXT; \
    } while (0)
#endif
