/* One encode session of the fake libnvidia-encode, between the entry points and the queue of pictures. */
#ifndef FAKENV_NVENC_H
#define FAKENV_NVENC_H
#include <ffnvcodec/nvEncodeAPI.h>

#include "encoder.h"
#include "gpu.h"

/* An input buffer, or memory of the device that was registered as one. */
struct nvenc_input {
    uint8_t *data;
    uint32_t width, height, pitch;
    NV_ENC_BUFFER_FORMAT format;
    int on_device, mapped, locked;
};
struct nvenc_output {
    struct encoder_coded *coded;
    int locked;
};
struct nvenc_waiting {
    struct nvenc_waiting *next;
    struct encoder_picture picture;
};

enum { TIMESTAMPS = 256 }; /* more than pictures can be on their way */

struct nvenc_session {
    int dev, handle, codec; /* codec as NVML counts: 0 H.264, 1 HEVC */
    size_t memory;
    const struct encoder *encoder;
    void *coder;
    struct encoder_settings settings;
    int initialized, interval; /* interval: from anchor to anchor, NVENC's frameIntervalP */
    int64_t gop, submitted, locked, last_idr;
    int restarted;
    struct nvenc_waiting *waiting, **waiting_end; /* in display order, not yet given to the encoder */
    int waiting_count;
    struct nvenc_output **outputs; /* in the order they were handed in */
    size_t output_count, output_room, output_next;
    struct encoder_coded *done, **done_end; /* coded pictures that no output holds yet */
    uint64_t timestamps[TIMESTAMPS];
    char error[256];
};

int nvenc_rows(NV_ENC_BUFFER_FORMAT format, uint32_t height); /* of one luma pitch; 0: not a format of ours */
int nvenc_depth(NV_ENC_BUFFER_FORMAT format);

NVENCSTATUS nvenc_submit(struct nvenc_session *s, const struct nvenc_input *in, struct nvenc_output *out, uint64_t time,
                         int idr, int intra);
NVENCSTATUS nvenc_finish(struct nvenc_session *s);
int nvenc_hurry(struct nvenc_session *s);
void nvenc_drop_pictures(struct nvenc_session *s);
#endif
