/* HEVC, 8 and 10 bits, by libx265: see encoder_x264.c for why it is loaded as it is. */
#define _GNU_SOURCE
#include "encoder.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x265.h>

struct handle {
    const x265_api *api;
    x265_param *param;
    x265_encoder *encoder;
};

static const x265_api *(*get_api)(int depth);

static int load(void)
{
    static void *handle;
    if (handle) return 0;
    handle = dlopen("libx265.so." ENCODER_STR(X265_BUILD), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!handle) {
        fprintf(stderr, "fake NVIDIA driver: %s\n", dlerror());
        return -1;
    }
    *(void **)&get_api = dlsym(handle, "x265_api_get_" ENCODER_STR(X265_BUILD));
    return get_api ? 0 : -1;
}

static void rate(x265_param *p, const struct encoder_settings *s)
{
    p->rc.vbvMaxBitrate = s->max_kbps;
    p->rc.vbvBufferSize = s->max_kbps ? s->buffer_kb : 0;
    switch (s->rate) {
    case ENCODER_QP:
        p->rc.rateControlMode = X265_RC_CQP;
        p->rc.qp = s->qp;
        p->rc.ipFactor = p->rc.pbFactor = 1;
        break;
    case ENCODER_CRF:
        p->rc.rateControlMode = X265_RC_CRF;
        p->rc.rfConstant = s->crf;
        break;
    case ENCODER_BITRATE: p->rc.rateControlMode = X265_RC_ABR; p->rc.bitrate = s->kbps;
    }
}

static void colour(x265_param *p, const struct encoder_settings *s)
{
    if (s->sar_width) {
        p->vui.aspectRatioIdc = X265_EXTENDED_SAR;
        p->vui.sarWidth = s->sar_width;
        p->vui.sarHeight = s->sar_height;
    }
    p->vui.bEnableVideoSignalTypePresentFlag = 1;
    p->vui.bEnableVideoFullRangeFlag = s->full_range;
    if (!s->primaries && !s->transfer && !s->matrix) return;
    p->vui.bEnableColorDescriptionPresentFlag = 1;
    if (s->primaries) p->vui.colorPrimaries = s->primaries;
    if (s->transfer) p->vui.transferCharacteristics = s->transfer;
    if (s->matrix) p->vui.matrixCoeffs = s->matrix;
}

static void *open_encoder(const struct encoder_settings *s)
{
    const x265_api *api = get_api(s->depth);
    if (!api) return NULL;
    struct handle *h = calloc(1, sizeof *h);
    x265_param *p = h->param = api->param_alloc();
    h->api = api;
    api->param_default_preset(p, s->preset, NULL);
    p->logLevel = X265_LOG_NONE;
    api->param_parse(p, "pools", "none");
    p->frameNumThreads = 1;
    p->bEnableWavefront = 0;
    p->sourceWidth = s->width;
    p->sourceHeight = s->height;
    p->fpsNum = (uint32_t)s->fps_num;
    p->fpsDenom = (uint32_t)s->fps_den;
    p->internalCsp = s->chroma444 ? X265_CSP_I444 : X265_CSP_I420;
    p->bframes = s->bframes;
    p->bFrameAdaptive = p->bBPyramid = p->scenecutThreshold = p->bOpenGOP = 0;
    p->lookaheadDepth = s->bframes ? s->bframes + 1 : 0;
    p->rc.cuTree = 0;
    p->keyframeMax = -1;
    p->keyframeMin = 1 << 30;
    p->bRepeatHeaders = s->repeat_headers;
    p->bEnableAccessUnitDelimiters = s->delimiters;
    p->bEmitInfoSEI = 0;
    p->levelIdc = s->level;
    if (s->references) p->maxNumReferences = s->references;
    colour(p, s);
    rate(p, s);
    if (!s->profile || !api->param_apply_profile(p, s->profile)) h->encoder = api->encoder_open(p);
    if (h->encoder) return h;
    api->param_free(p);
    free(h);
    return NULL;
}

static int headers(void *handle, uint8_t *out, size_t room)
{
    struct handle *h = handle;
    x265_nal *nal;
    uint32_t n;
    size_t size = 0;
    if (h->api->encoder_headers(h->encoder, &nal, &n) < 0) return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (nal[i].type == NAL_UNIT_PREFIX_SEI) continue;
        if (size + nal[i].sizeBytes > room) return -1;
        memcpy(out + size, nal[i].payload, nal[i].sizeBytes);
        size += nal[i].sizeBytes;
    }
    return (int)size;
}

static int encode(void *handle, const struct encoder_picture *p, struct encoder_coded **coded)
{
    static const int types[] = { X265_TYPE_IDR, X265_TYPE_I, X265_TYPE_P, X265_TYPE_B };
    struct handle *h = handle;
    x265_picture in, out;
    x265_nal *nal = NULL;
    uint32_t n = 0;
    h->api->picture_init(h->param, &in);
    h->api->picture_init(h->param, &out);
    if (p) {
        in.sliceType = types[p->type];
        in.pts = p->index;
        in.bitDepth = p->depth;
        in.colorSpace = p->chroma444 ? X265_CSP_I444 : X265_CSP_I420;
        for (int i = 0; i < 3; i++) {
            in.planes[i] = p->plane[i];
            in.stride[i] = p->stride[i];
        }
    }
    int status = h->api->encoder_encode(h->encoder, &nal, &n, p ? &in : NULL, &out);
    if (status <= 0 || !n) return status < 0 ? -1 : 0;
    enum encoder_type type = out.sliceType == X265_TYPE_IDR  ? ENCODER_IDR
                             : out.sliceType == X265_TYPE_I  ? ENCODER_I
                             : IS_X265_TYPE_B(out.sliceType) ? ENCODER_B
                                                             : ENCODER_P;
    *coded = encoder_coded_new(out.pts, type, (int)out.frameData.qp);
    for (uint32_t i = 0; i < n; i++)
        if (nal[i].type != NAL_UNIT_PREFIX_SEI && nal[i].type != NAL_UNIT_SUFFIX_SEI)
            encoder_coded_add(*coded, nal[i].payload, nal[i].sizeBytes);
    return 1;
}

static void close_encoder(void *handle)
{
    struct handle *h = handle;
    h->api->encoder_close(h->encoder);
    h->api->param_free(h->param);
    free(h);
}

const struct encoder encoder_x265 = { load, open_encoder, headers, encode, close_encoder };
