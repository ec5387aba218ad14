/* What libnvidia-encode and libnvcuvid need of libcuda, and libcuda's own parts of each other. */
#ifndef FAKENV_GPU_H
#define FAKENV_GPU_H
#include "core.h"

FAKENV_SHARED int fakenv_context_device(void *context); /* NULL: of the current context, or FAKENV_ANY */
FAKENV_SHARED int fakenv_device_range(uint64_t p, size_t n); /* 1: inside one allocation of a device */
int fakenv_has_context(void);

typedef struct {
    const uint8_t *data;
    size_t pitch, width, height;
    int bytes, channels, linear, normalized;
} fakenv_texture;

#endif
