/* libnvcuvid.so.1: NVDEC for H.264, 8 bits 4:2:0, on libavcodec's software decoder. Each picture's buffer is taken when
 * the picture is decoded, so that libavcodec's reordering does not matter: NVDEC does not reorder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"
#include "h264_headers.h"

#define API __attribute__((visibility("default"))) CUresult
#define STR_(x) #x
#define STR(x) STR_(x)
enum { E_INVALID_VALUE = 1, E_OUT_OF_MEMORY = 2, E_NOT_SUPPORTED = 801, E_UNKNOWN = 999, SURFACES = 40 };

CUresult cuMemAlloc_v2(CUdeviceptr *, size_t);
CUresult cuMemFree_v2(CUdeviceptr);

static struct {
    const AVCodec *(*find)(enum AVCodecID);
    AVCodecContext *(*new_context)(const AVCodec *);
    int (*open)(AVCodecContext *, const AVCodec *, AVDictionary **);
    int (*send)(AVCodecContext *, const AVPacket *);
    int (*receive)(AVCodecContext *, AVFrame *);
    void (*free_context)(AVCodecContext **);
    int (*get_buffer)(AVCodecContext *, AVFrame *, int);
    AVPacket *(*new_packet)(void);
    int (*grow_packet)(AVPacket *, int);
    void (*clear_packet)(AVPacket *);
    void (*free_packet)(AVPacket **);
    AVFrame *(*new_frame)(void);
    int (*refer)(AVFrame *, const AVFrame *);
    void (*clear_frame)(AVFrame *);
    void (*free_frame)(AVFrame **);
} lib;

/* As with libx264: a static FFmpeg exports a libavcodec of its own, of another version. */
static int load(void)
{
    static void *handle;
    if (handle) return 0;
    handle = dlopen("libavcodec.so." STR(LIBAVCODEC_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!handle) {
        fprintf(stderr, "fake NVIDIA driver: %s\n", dlerror());
        return -1;
    }
    const struct {
        void *to;
        const char *name;
    } symbols[] = {
        { &lib.find, "avcodec_find_decoder" },
        { &lib.new_context, "avcodec_alloc_context3" },
        { &lib.open, "avcodec_open2" },
        { &lib.send, "avcodec_send_packet" },
        { &lib.receive, "avcodec_receive_frame" },
        { &lib.free_context, "avcodec_free_context" },
        { &lib.get_buffer, "avcodec_default_get_buffer2" },
        { &lib.new_packet, "av_packet_alloc" },
        { &lib.grow_packet, "av_new_packet" },
        { &lib.clear_packet, "av_packet_unref" },
        { &lib.free_packet, "av_packet_free" },
        { &lib.new_frame, "av_frame_alloc" },
        { &lib.refer, "av_frame_ref" },
        { &lib.clear_frame, "av_frame_unref" },
        { &lib.free_frame, "av_frame_free" },
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!(*(void **)symbols[i].to = dlsym(handle, symbols[i].name))) return -1;
    return 0;
}

struct decoder {
    AVCodecContext *context;
    AVPacket *packet;
    AVFrame *current, *output;
    int dev, width, height, pitch, surfaces;
    CUdeviceptr surface[SURFACES];
    long pictures;
};

static int enter(int dev, const char *call)
{
    int status = fakenv_fault(dev, call);
    return status == FAKENV_LOST ? E_UNKNOWN : status;
}
#define ENTER(dev, call)                       \
    do {                                       \
        int status_ = enter(dev, call);        \
        if (status_) return (CUresult)status_; \
    } while (0)

static int take_buffer(AVCodecContext *context, AVFrame *frame, int flags)
{
    struct decoder *d = context->opaque;
    int status = lib.get_buffer(context, frame, flags);
    if (status < 0) return status;
    lib.clear_frame(d->current);
    return lib.refer(d->current, frame);
}

API cuvidGetDecoderCaps(CUVIDDECODECAPS *c)
{
    int dev = fakenv_context_device(NULL);
    ENTER(dev, "cuvidGetDecoderCaps");
    int yes = fakenv_number(dev, "nvdec", 0) && c->eCodecType == cudaVideoCodec_H264 &&
              c->eChromaFormat == cudaVideoChromaFormat_420 && !c->nBitDepthMinus8;
    fakenv_log(dev, "decoder caps", "\"codec\":%d,\"bits\":%u,\"yes\":%d", (int)c->eCodecType, c->nBitDepthMinus8 + 8,
               yes);
    c->bIsSupported = (unsigned char)yes;
    c->nNumNVDECs = (unsigned char)yes;
    c->nOutputFormatMask = 1;
    c->nMinWidth = 48;
    c->nMinHeight = 16;
    c->nMaxWidth = c->nMaxHeight = yes ? 4096 : 0;
    c->nMaxMBCount = yes ? 65536 : 0;
    return CUDA_SUCCESS;
}

static CUresult new_surfaces(struct decoder *d, int count)
{
    for (; d->surfaces < count; d->surfaces++) {
        CUresult status = cuMemAlloc_v2(&d->surface[d->surfaces], (size_t)d->pitch * (size_t)d->height * 3 / 2);
        if (status) return status;
    }
    return CUDA_SUCCESS;
}

API cuvidDestroyDecoder(CUvideodecoder decoder)
{
    struct decoder *d = decoder;
    lib.free_context(&d->context);
    lib.free_frame(&d->current);
    lib.free_frame(&d->output);
    lib.free_packet(&d->packet);
    for (int i = 0; i < d->surfaces; i++) cuMemFree_v2(d->surface[i]);
    fakenv_log(d->dev, "decoder end", "\"pictures\":%ld", d->pictures);
    free(d);
    return CUDA_SUCCESS;
}

API cuvidCreateDecoder(CUvideodecoder *out, CUVIDDECODECREATEINFO *p)
{
    int dev = fakenv_context_device(NULL);
    ENTER(dev, "cuvidCreateDecoder");
    if (p->CodecType != cudaVideoCodec_H264 || p->ulNumDecodeSurfaces > SURFACES || load())
        return (CUresult)E_NOT_SUPPORTED;
    struct decoder *d = calloc(1, sizeof *d);
    d->dev = dev;
    d->width = (int)p->ulTargetWidth;
    d->height = (int)p->ulTargetHeight;
    d->pitch = (d->width + 511) & ~511;
    d->context = lib.new_context(lib.find(AV_CODEC_ID_H264));
    d->context->thread_count = 1;
    d->context->thread_type = FF_THREAD_SLICE;
    d->context->opaque = d;
    d->context->get_buffer2 = take_buffer;
    d->context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    d->current = lib.new_frame();
    d->output = lib.new_frame();
    d->packet = lib.new_packet();
    CUresult status = new_surfaces(d, (int)p->ulNumDecodeSurfaces);
    if (!status && lib.open(d->context, NULL, NULL) < 0) status = (CUresult)E_UNKNOWN;
    if (status) {
        cuvidDestroyDecoder(d);
        return status;
    }
    fakenv_log(dev, "decoder", "\"w\":%d,\"h\":%d,\"surfaces\":%d", d->width, d->height, d->surfaces);
    *out = d;
    return CUDA_SUCCESS;
}

static void write_nv12(const struct decoder *d, uint8_t *out)
{
    const AVFrame *f = d->current;
    for (int y = 0; y < d->height; y++, out += d->pitch)
        memcpy(out, f->data[0] + (ptrdiff_t)y * f->linesize[0], (size_t)d->width);
    for (int y = 0; y < d->height / 2; y++, out += d->pitch)
        for (int x = 0; x < d->width / 2; x++) {
            out[2 * x] = f->data[1][(ptrdiff_t)y * f->linesize[1] + x];
            out[2 * x + 1] = f->data[2][(ptrdiff_t)y * f->linesize[2] + x];
        }
}

API cuvidDecodePicture(CUvideodecoder decoder, CUVIDPICPARAMS *p)
{
    struct decoder *d = decoder;
    uint8_t headers[H264_HEADERS];
    ENTER(d->dev, "cuvidDecodePicture");
    int n = h264_headers(headers, p);
    if (n < 0 || p->field_pic_flag || p->CurrPicIdx < 0 || p->CurrPicIdx >= d->surfaces)
        return (CUresult)E_NOT_SUPPORTED;
    if (lib.grow_packet(d->packet, n + (int)p->nBitstreamDataLen) < 0) return (CUresult)E_OUT_OF_MEMORY;
    memcpy(d->packet->data, headers, (size_t)n);
    memcpy(d->packet->data + n, p->pBitstreamData, p->nBitstreamDataLen);
    lib.clear_frame(d->current);
    int status = lib.send(d->context, d->packet);
    lib.clear_packet(d->packet);
    while (lib.receive(d->context, d->output) >= 0) lib.clear_frame(d->output);
    if (status < 0 || !d->current->data[0]) {
        fakenv_log(d->dev, "picture not decoded", "\"status\":%d", status);
        return (CUresult)E_UNKNOWN;
    }
    write_nv12(d, (uint8_t *)(uintptr_t)d->surface[p->CurrPicIdx]);
    d->pictures++;
    return CUDA_SUCCESS;
}

API cuvidMapVideoFrame64(CUvideodecoder decoder, int index, unsigned long long *out, unsigned *pitch,
                         CUVIDPROCPARAMS *how)
{
    struct decoder *d = decoder;
    (void)how;
    ENTER(d->dev, "cuvidMapVideoFrame");
    if (index < 0 || index >= d->surfaces) return (CUresult)E_INVALID_VALUE;
    *out = d->surface[index];
    *pitch = (unsigned)d->pitch;
    return CUDA_SUCCESS;
}

API cuvidUnmapVideoFrame64(CUvideodecoder decoder, unsigned long long mapped)
{
    (void)decoder, (void)mapped;
    return CUDA_SUCCESS;
}

/* --- loaded by FFmpeg; the parser is what h264_cuvid would need --- */

#define UNSUPPORTED(name) \
    API name(void) { return (CUresult)E_NOT_SUPPORTED; }
UNSUPPORTED(cuvidGetDecodeStatus)
UNSUPPORTED(cuvidReconfigureDecoder)
UNSUPPORTED(cuvidMapVideoFrame)
UNSUPPORTED(cuvidUnmapVideoFrame)
UNSUPPORTED(cuvidCtxLockCreate)
UNSUPPORTED(cuvidCtxLockDestroy)
UNSUPPORTED(cuvidCtxLock)
UNSUPPORTED(cuvidCtxUnlock)
UNSUPPORTED(cuvidCreateVideoSource)
UNSUPPORTED(cuvidCreateVideoSourceW)
UNSUPPORTED(cuvidDestroyVideoSource)
UNSUPPORTED(cuvidSetVideoSourceState)
UNSUPPORTED(cuvidGetVideoSourceState)
UNSUPPORTED(cuvidGetSourceVideoFormat)
UNSUPPORTED(cuvidGetSourceAudioFormat)
UNSUPPORTED(cuvidCreateVideoParser)
UNSUPPORTED(cuvidParseVideoData)
UNSUPPORTED(cuvidDestroyVideoParser)
