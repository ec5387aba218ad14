/* Pictures on their way through a session. The k-th output that was handed in gets the k-th coded picture, and a
 * picture inside a group of B-frames is answered with NEED_MORE_INPUT: FFmpeg's decoding times depend on both. */
#define _GNU_SOURCE
#include "nvenc.h"
#include <stdlib.h>
#include <string.h>

struct encoder_coded *encoder_coded_new(int64_t index, enum encoder_type type, int qp)
{
    struct encoder_coded *c = calloc(1, sizeof *c);
    c->index = index;
    c->type = type;
    c->qp = qp;
    return c;
}

void encoder_coded_add(struct encoder_coded *c, const void *data, size_t size)
{
    c->data = realloc(c->data, c->size + size);
    memcpy(c->data + c->size, data, size);
    c->size += size;
}

void encoder_coded_free(struct encoder_coded *c)
{
    if (c) free(c->data);
    free(c);
}

/* --- pictures: whatever the format, planar and in the encoder's depth --- */

int nvenc_rows(NV_ENC_BUFFER_FORMAT format, uint32_t height)
{
    switch ((int)format) {
    case NV_ENC_BUFFER_FORMAT_NV12:
    case NV_ENC_BUFFER_FORMAT_YV12:
    case NV_ENC_BUFFER_FORMAT_IYUV:
    case NV_ENC_BUFFER_FORMAT_YUV420_10BIT: return (int)(height + (height + 1) / 2);
    case NV_ENC_BUFFER_FORMAT_YUV444: return (int)height * 3;
    default: return 0;
    }
}

int nvenc_depth(NV_ENC_BUFFER_FORMAT format) { return format == NV_ENC_BUFFER_FORMAT_YUV420_10BIT ? 10 : 8; }

struct source {
    const uint8_t *data;
    size_t pitch, step; /* step: samples from one to the next, 2 where planes are interleaved */
    int depth;
};

static unsigned sample(const struct source *s, size_t x, size_t y)
{
    const uint8_t *p = s->data + y * s->pitch;
    if (s->depth == 8) return p[x * s->step];
    return (unsigned)(p[2 * x * s->step] | p[2 * x * s->step + 1] << 8) >> 6; /* P010 keeps its bits at the top */
}

static void copy_plane(struct encoder_picture *p, int plane, const struct source *from, size_t width, size_t height)
{
    for (size_t y = 0; y < height; y++) {
        uint8_t *row = p->plane[plane] + y * (size_t)p->stride[plane];
        if (p->depth == 8 && from->depth == 8 && from->step == 1) {
            memcpy(row, from->data + y * from->pitch, width);
            continue;
        }
        for (size_t x = 0; x < width; x++) {
            unsigned v = sample(from, x, y);
            if (p->depth == 8) row[x] = (uint8_t)(v >> (from->depth - 8));
            else ((uint16_t *)row)[x] = (uint16_t)(v << (10 - from->depth));
        }
    }
}

static struct nvenc_waiting *copy_picture(const struct nvenc_session *s, const struct nvenc_input *in)
{
    size_t width = (size_t)s->settings.width, height = (size_t)s->settings.height,
           bytes = s->settings.depth > 8 ? 2 : 1;
    int c444 = in->format == NV_ENC_BUFFER_FORMAT_YUV444;
    size_t cw = c444 ? width : (width + 1) / 2, ch = c444 ? height : (height + 1) / 2;
    struct nvenc_waiting *w = calloc(1, sizeof *w + bytes * (width * height + 2 * cw * ch));
    struct encoder_picture *p = &w->picture;
    p->depth = s->settings.depth;
    p->chroma444 = c444;
    p->plane[0] = (uint8_t *)(w + 1);
    p->plane[1] = p->plane[0] + bytes * width * height;
    p->plane[2] = p->plane[1] + bytes * cw * ch;
    p->stride[0] = (int)(width * bytes);
    p->stride[1] = p->stride[2] = (int)(cw * bytes);

    struct source from = { in->data, in->pitch, 1, nvenc_depth(in->format) };
    copy_plane(p, 0, &from, width, height);
    from.data += (size_t)in->pitch * in->height;
    switch ((int)in->format) {
    case NV_ENC_BUFFER_FORMAT_YUV444:
        copy_plane(p, 1, &from, cw, ch);
        from.data += (size_t)in->pitch * in->height;
        copy_plane(p, 2, &from, cw, ch);
        break;
    case NV_ENC_BUFFER_FORMAT_YV12:
    case NV_ENC_BUFFER_FORMAT_IYUV: {
        int first = in->format == NV_ENC_BUFFER_FORMAT_YV12 ? 2 : 1;
        from.pitch /= 2;
        copy_plane(p, first, &from, cw, ch);
        from.data += from.pitch * ((in->height + 1) / 2);
        copy_plane(p, 3 - first, &from, cw, ch);
        break;
    }
    default:
        from.step = 2;
        copy_plane(p, 1, &from, cw, ch);
        from.data += from.depth > 8 ? 2 : 1;
        copy_plane(p, 2, &from, cw, ch);
    }
    return w;
}

/* --- the queue --- */

static void keep(struct nvenc_session *s, struct encoder_coded *c)
{
    *s->done_end = c;
    s->done_end = &c->next;
}

static void hand_out(struct nvenc_session *s)
{
    while (s->done && s->output_next < s->output_count) {
        struct nvenc_output *o = s->outputs[s->output_next++];
        struct encoder_coded *c = s->done;
        s->done = c->next;
        if (!s->done) s->done_end = &s->done;
        encoder_coded_free(o->coded);
        o->coded = c;
    }
}

static void expect_output(struct nvenc_session *s, struct nvenc_output *o)
{
    if (s->output_next > TIMESTAMPS) {
        s->output_count -= s->output_next;
        memmove(s->outputs, s->outputs + s->output_next, s->output_count * sizeof *s->outputs);
        s->output_next = 0;
    }
    if (s->output_count == s->output_room) {
        s->output_room = s->output_room ? s->output_room * 2 : 64;
        s->outputs = realloc(s->outputs, s->output_room * sizeof *s->outputs);
    }
    s->outputs[s->output_count++] = o;
}

/* Gives the encoder what waits: the last is an anchor, those before it are B-frames. */
static int encode_waiting(struct nvenc_session *s, enum encoder_type anchor)
{
    if (s->waiting && !s->coder && !(s->coder = s->encoder->open(&s->settings))) return -1;
    while (s->waiting) {
        struct nvenc_waiting *w = s->waiting;
        struct encoder_coded *c;
        w->picture.type = w->next ? ENCODER_B : anchor;
        int status = s->encoder->encode(s->coder, &w->picture, &c);
        if (status < 0) return -1;
        if (status) keep(s, c);
        s->waiting = w->next;
        free(w);
    }
    s->waiting_end = &s->waiting;
    s->waiting_count = 0;
    hand_out(s);
    return 0;
}

static int drain(struct nvenc_session *s)
{
    struct encoder_coded *c;
    int status;
    if (!s->coder) return 0;
    while ((status = s->encoder->encode(s->coder, NULL, &c)) > 0) keep(s, c);
    hand_out(s);
    s->encoder->close(s->coder);
    s->coder = NULL;
    return status;
}

NVENCSTATUS nvenc_submit(struct nvenc_session *s, const struct nvenc_input *in, struct nvenc_output *out, uint64_t time,
                         int idr, int intra)
{
    int64_t index = s->submitted++;
    int status = 0;
    idr |= index == 0 || s->restarted || index - s->last_idr >= s->gop;
    intra |= idr || s->interval == 0;
    struct nvenc_waiting *w = copy_picture(s, in);
    w->picture.index = index;
    s->timestamps[index % TIMESTAMPS] = time;
    encoder_coded_free(out->coded);
    out->coded = NULL;
    if (intra && s->waiting) status = encode_waiting(s, ENCODER_P); /* nothing may refer across a key picture */
    expect_output(s, out);
    *s->waiting_end = w;
    s->waiting_end = &w->next;
    s->waiting_count++;
    if (idr) {
        s->last_idr = index;
        s->restarted = 0;
    }
    if (!status && intra) status = encode_waiting(s, idr ? ENCODER_IDR : ENCODER_I);
    else if (!status && s->waiting_count >= s->interval) status = encode_waiting(s, ENCODER_P);
    if (status) return NV_ENC_ERR_GENERIC;
    return s->waiting ? NV_ENC_ERR_NEED_MORE_INPUT : NV_ENC_SUCCESS;
}

NVENCSTATUS nvenc_finish(struct nvenc_session *s)
{
    return encode_waiting(s, ENCODER_P) || drain(s) ? NV_ENC_ERR_GENERIC : NV_ENC_SUCCESS;
}

/* A client with a small -delay locks a picture that NVENC would have finished by now, while the software encoder stays
 * behind by its B-frames. It is emptied, which ends it, and goes on without B-frames from a new IDR picture. */
int nvenc_hurry(struct nvenc_session *s)
{
    fakenv_log(s->dev, "early lock", "\"in\":%lld", (long long)s->submitted);
    s->settings.bframes = 0;
    s->settings.repeat_headers = 1;
    if (s->interval > 1) s->interval = 1;
    s->restarted = 1;
    return drain(s);
}

void nvenc_drop_pictures(struct nvenc_session *s)
{
    while (s->waiting) {
        struct nvenc_waiting *w = s->waiting;
        s->waiting = w->next;
        free(w);
    }
    while (s->done) {
        struct encoder_coded *c = s->done;
        s->done = c->next;
        encoder_coded_free(c);
    }
    free(s->outputs);
}
