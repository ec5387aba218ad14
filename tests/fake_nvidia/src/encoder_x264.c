/* H.264 by libx264. dlopen with RTLD_DEEPBIND, because a static FFmpeg exports an x264 of its own. */
#define _GNU_SOURCE
#include "encoder.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x264.h>

static struct {
    x264_t *(*open)(x264_param_t *);
    int (*headers)(x264_t *, x264_nal_t **, int *);
    int (*encode)(x264_t *, x264_nal_t **, int *, x264_picture_t *, x264_picture_t *);
    int (*delayed)(x264_t *);
    void (*close)(x264_t *);
    int (*preset)(x264_param_t *, const char *, const char *);
    int (*profile)(x264_param_t *, const char *);
    void (*picture)(x264_picture_t *);
} lib;

static int load(void)
{
    static void *handle;
    if (handle) return 0;
    handle = dlopen("libx264.so." ENCODER_STR(X264_BUILD), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!handle) {
        fprintf(stderr, "fake NVIDIA driver: %s\n", dlerror());
        return -1;
    }
    const struct {
        void *to;
        const char *name;
    } symbols[] = {
        { &lib.open, "x264_encoder_open_" ENCODER_STR(X264_BUILD) },
        { &lib.headers, "x264_encoder_headers" },
        { &lib.encode, "x264_encoder_encode" },
        { &lib.delayed, "x264_encoder_delayed_frames" },
        { &lib.close, "x264_encoder_close" },
        { &lib.preset, "x264_param_default_preset" },
        { &lib.profile, "x264_param_apply_profile" },
        { &lib.picture, "x264_picture_init" },
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!(*(void **)symbols[i].to = dlsym(handle, symbols[i].name))) return -1;
    return 0;
}

static void rate(x264_param_t *p, const struct encoder_settings *s)
{
    p->rc.i_vbv_max_bitrate = s->max_kbps;
    p->rc.i_vbv_buffer_size = s->max_kbps ? s->buffer_kb : 0;
    switch (s->rate) {
    case ENCODER_QP:
        p->rc.i_rc_method = X264_RC_CQP;
        p->rc.i_qp_constant = s->qp;
        p->rc.f_ip_factor = p->rc.f_pb_factor = 1;
        break;
    case ENCODER_CRF:
        p->rc.i_rc_method = X264_RC_CRF;
        p->rc.f_rf_constant = (float)s->crf;
        break;
    case ENCODER_BITRATE: p->rc.i_rc_method = X264_RC_ABR; p->rc.i_bitrate = s->kbps;
    }
}

static void *open_encoder(const struct encoder_settings *s)
{
    x264_param_t p;
    if (lib.preset(&p, s->preset, NULL)) return NULL;
    p.i_log_level = X264_LOG_ERROR;
    p.i_threads = p.i_lookahead_threads = 1;
    p.i_sync_lookahead = p.rc.i_lookahead = p.rc.b_mb_tree = 0;
    p.i_width = s->width;
    p.i_height = s->height;
    p.i_csp = s->chroma444 ? X264_CSP_I444 : X264_CSP_I420;
    p.i_fps_num = (uint32_t)s->fps_num;
    p.i_fps_den = (uint32_t)s->fps_den;
    p.b_vfr_input = 0;
    p.i_timebase_num = p.i_fps_den;
    p.i_timebase_den = p.i_fps_num;
    /* The caller says what each picture is. Without an infinite minimum x264 turns a forced I into an IDR. */
    p.i_bframe = s->bframes;
    p.i_bframe_adaptive = X264_B_ADAPT_NONE;
    p.i_bframe_pyramid = X264_B_PYRAMID_NONE;
    p.i_keyint_max = p.i_keyint_min = X264_KEYINT_MAX_INFINITE;
    p.i_scenecut_threshold = 0;
    p.b_cabac = s->cabac;
    p.b_repeat_headers = s->repeat_headers;
    p.b_annexb = 1;
    p.b_aud = s->delimiters;
    if (s->level) p.i_level_idc = s->level;
    if (s->references) p.i_frame_reference = s->references;
    if (s->slices > 1) p.i_slice_count = s->slices;
    p.vui.i_sar_width = s->sar_width;
    p.vui.i_sar_height = s->sar_height;
    p.vui.b_fullrange = s->full_range;
    if (s->primaries) p.vui.i_colorprim = s->primaries;
    if (s->transfer) p.vui.i_transfer = s->transfer;
    if (s->matrix) p.vui.i_colmatrix = s->matrix;
    rate(&p, s);
    if (s->profile && lib.profile(&p, s->profile)) return NULL;
    return lib.open(&p);
}

static int headers(void *handle, uint8_t *out, size_t room)
{
    x264_nal_t *nal;
    int n;
    size_t size = 0;
    if (lib.headers(handle, &nal, &n) < 0) return -1;
    for (int i = 0; i < n; i++) {
        if (nal[i].i_type == NAL_SEI) continue;
        if (size + (size_t)nal[i].i_payload > room) return -1;
        memcpy(out + size, nal[i].p_payload, (size_t)nal[i].i_payload);
        size += (size_t)nal[i].i_payload;
    }
    return (int)size;
}

static int encode(void *handle, const struct encoder_picture *p, struct encoder_coded **coded)
{
    static const int types[] = { X264_TYPE_IDR, X264_TYPE_I, X264_TYPE_P, X264_TYPE_B };
    x264_picture_t in, out;
    x264_nal_t *nal;
    int n, size = 0;
    lib.picture(&in);
    if (p) {
        in.i_type = types[p->type];
        in.i_pts = p->index;
        in.img.i_csp = p->chroma444 ? X264_CSP_I444 : X264_CSP_I420;
        in.img.i_plane = 3;
        for (int i = 0; i < 3; i++) {
            in.img.plane[i] = p->plane[i];
            in.img.i_stride[i] = p->stride[i];
        }
        size = lib.encode(handle, &nal, &n, &in, &out);
    } else {
        while (!size && lib.delayed(handle) > 0) size = lib.encode(handle, &nal, &n, NULL, &out);
    }
    if (size <= 0) return size;
    enum encoder_type type = out.i_type == X264_TYPE_IDR  ? ENCODER_IDR
                             : IS_X264_TYPE_I(out.i_type) ? ENCODER_I
                             : IS_X264_TYPE_B(out.i_type) ? ENCODER_B
                                                          : ENCODER_P;
    *coded = encoder_coded_new(out.i_pts, type, out.i_qpplus1 - 1);
    for (int i = 0; i < n; i++)
        if (nal[i].i_type != NAL_SEI) /* x264 signs its streams there, and this one is to look like NVENC's */
            encoder_coded_add(*coded, nal[i].p_payload, (size_t)nal[i].i_payload);
    return 1;
}

static void close_encoder(void *handle) { lib.close(handle); }

const struct encoder encoder_x264 = { load, open_encoder, headers, encode, close_encoder };
