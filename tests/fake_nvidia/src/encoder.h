/* The software encoders behind NVENC. Both stay behind by their B-frames, and neither can be emptied without ending. */
#ifndef FAKENV_ENCODER_H
#define FAKENV_ENCODER_H
#include <stddef.h>
#include <stdint.h>

#define ENCODER_STR_(x) #x
#define ENCODER_STR(x) ENCODER_STR_(x)

enum encoder_type { ENCODER_IDR, ENCODER_I, ENCODER_P, ENCODER_B };
enum encoder_rate { ENCODER_CRF, ENCODER_QP, ENCODER_BITRATE };

struct encoder_settings {
    int width, height, fps_num, fps_den, depth, chroma444, bframes;
    int cabac, repeat_headers, delimiters, level, references, slices;
    int sar_width, sar_height, full_range, primaries, transfer, matrix; /* 0: not said */
    enum encoder_rate rate;
    double crf;
    int qp, kbps, max_kbps, buffer_kb;
    const char *preset, *profile; /* profile NULL: whatever fits */
};

/* Planar; two bytes a sample above 8 bits. */
struct encoder_picture {
    uint8_t *plane[3];
    int stride[3], depth, chroma444;
    enum encoder_type type;
    int64_t index;
};

struct encoder_coded {
    struct encoder_coded *next;
    uint8_t *data;
    size_t size;
    int64_t index;
    enum encoder_type type;
    int qp;
};

struct encoder {
    int (*load)(void);
    void *(*open)(const struct encoder_settings *s);
    int (*headers)(void *handle, uint8_t *out, size_t room); /* bytes, or -1 */
    /* Picture NULL: what is left. 1: *out is a new picture; 0: none yet, or none left; -1: failed. */
    int (*encode)(void *handle, const struct encoder_picture *p, struct encoder_coded **out);
    void (*close)(void *handle);
};

extern const struct encoder encoder_x264, encoder_x265;

struct encoder_coded *encoder_coded_new(int64_t index, enum encoder_type type, int qp);
void encoder_coded_add(struct encoder_coded *c, const void *data, size_t size);
void encoder_coded_free(struct encoder_coded *c);
#endif
