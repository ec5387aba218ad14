/* libnvidia-encode.so.1: the entry points of NVENC. What a device can do is in the machine's description; FFmpeg asks
 * for it by GetEncodeCaps and prints its own refusals. */
#define _GNU_SOURCE
#include "nvenc.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default"))) NVENCSTATUS NVENCAPI
#define CALL static NVENCSTATUS NVENCAPI

enum { H264, HEVC, CODECS };
static const char *codec_names[CODECS] = { "h264", "hevc" };

static int same(GUID a, GUID b) { return !memcmp(&a, &b, sizeof a); }
static int codec_of(GUID g)
{
    return same(g, NV_ENC_CODEC_H264_GUID) ? H264 : same(g, NV_ENC_CODEC_HEVC_GUID) ? HEVC : CODECS;
}

/* "dev0.hevc=bframes:5 bref:2 ..."; a codec without a line is none of the device's. */
static int capability(int dev, int codec, const char *name)
{
    const char *at = codec < CODECS ? fakenv_text(dev, codec_names[codec], NULL) : NULL;
    size_t n = strlen(name);
    for (; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (!strncmp(at, name, n) && at[n] == ':') return atoi(at + n + 1);
    return 0;
}
static int has_codec(int dev, int codec) { return codec < CODECS && fakenv_text(dev, codec_names[codec], NULL); }

static int faulty(struct nvenc_session *s, int dev, const char *call)
{
    int status = fakenv_fault(dev, call);
    if (status == FAKENV_LOST) status = NV_ENC_ERR_GENERIC;
    if (status && s) snprintf(s->error, sizeof s->error, "fake NVIDIA driver: %s told to fail", call);
    return status;
}
#define ENTER(call)                                                                \
    do {                                                                           \
        int status_ = faulty(handle, ((struct nvenc_session *)handle)->dev, call); \
        if (status_) return (NVENCSTATUS)status_;                                  \
    } while (0)

static uint32_t api_version(void)
{
    unsigned major = 0, minor = 0;
    sscanf(fakenv_text(FAKENV_ANY, "api", "0.0"), "%u.%u", &major, &minor);
    return major << 4 | minor;
}

/* --- handles given out and not taken back: FFmpeg 5.1 destroys some twice on its error paths --- */

enum { HANDLES = 4096 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *handles[HANDLES];
static int handle_count;

static void *handle_new(size_t size)
{
    void *p = calloc(1, size);
    pthread_mutex_lock(&lock);
    if (handle_count < HANDLES) handles[handle_count++] = p;
    pthread_mutex_unlock(&lock);
    return p;
}

static int handle_known(void *p, int forget)
{
    int hit = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < handle_count && !hit; i++) {
        hit = handles[i] == p;
        if (hit && forget) handles[i] = handles[--handle_count];
    }
    pthread_mutex_unlock(&lock);
    if (!hit) fakenv_log(FAKENV_ANY, "bad handle", "\"handle\":\"%p\"", p);
    return hit;
}

/* --- sessions --- */

CALL OpenEncodeSessionEx(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *p, void **out)
{
    *out = NULL;
    if (!p->device) return NV_ENC_ERR_INVALID_ENCODERDEVICE;
    int dev = fakenv_context_device(p->device), status = faulty(NULL, dev, "open");
    if (status) return (NVENCSTATUS)status;
    if (!has_codec(dev, H264) && !has_codec(dev, HEVC)) return NV_ENC_ERR_UNSUPPORTED_DEVICE;
    if ((p->apiVersion & 0xff) > api_version() >> 4) return NV_ENC_ERR_INVALID_VERSION;
    int session = fakenv_session_open(dev);
    if (session < 0) {
        fakenv_log(dev, "open", "\"refused\":\"sessions\"");
        return (NVENCSTATUS)fakenv_number(dev, "session_refusal", NV_ENC_ERR_OUT_OF_MEMORY);
    }
    struct nvenc_session *s = calloc(1, sizeof *s);
    s->dev = dev;
    s->handle = session;
    s->waiting_end = &s->waiting;
    s->done_end = &s->done;
    fakenv_log(dev, "open", "\"api\":\"%u.%u\"", p->apiVersion & 0xff, p->apiVersion >> 24);
    *out = s;
    return NV_ENC_SUCCESS;
}

CALL OpenEncodeSession(void *device, uint32_t type, void **out)
{
    (void)device, (void)type, (void)out;
    return NV_ENC_ERR_UNIMPLEMENTED;
}

CALL DestroyEncoder(void *handle)
{
    struct nvenc_session *s = handle;
    if (!s) return NV_ENC_ERR_INVALID_PTR;
    if (s->coder) s->encoder->close(s->coder);
    nvenc_drop_pictures(s);
    if (s->memory) fakenv_memory_give(s->dev, s->memory);
    fakenv_session_close(s->handle);
    fakenv_log(s->dev, "close", "\"in\":%lld,\"out\":%lld", (long long)s->submitted, (long long)s->locked);
    free(s);
    return NV_ENC_SUCCESS;
}

static const char *NVENCAPI GetLastErrorString(void *handle)
{
    return handle ? ((struct nvenc_session *)handle)->error : "";
}

CALL SetIOCudaStreams(void *handle, NV_ENC_CUSTREAM_PTR in, NV_ENC_CUSTREAM_PTR out)
{
    (void)in, (void)out;
    ENTER("setstreams");
    return NV_ENC_SUCCESS;
}

/* --- what the device can do --- */

CALL GetEncodeGUIDCount(void *handle, uint32_t *out)
{
    struct nvenc_session *s = handle;
    ENTER("guids");
    *out = 0;
    for (int c = 0; c < CODECS; c++) *out += (uint32_t)has_codec(s->dev, c);
    return NV_ENC_SUCCESS;
}

CALL GetEncodeGUIDs(void *handle, GUID *out, uint32_t room, uint32_t *count)
{
    struct nvenc_session *s = handle;
    *count = 0;
    if (has_codec(s->dev, H264) && *count < room) out[(*count)++] = NV_ENC_CODEC_H264_GUID;
    if (has_codec(s->dev, HEVC) && *count < room) out[(*count)++] = NV_ENC_CODEC_HEVC_GUID;
    return NV_ENC_SUCCESS;
}

CALL GetEncodeCaps(void *handle, GUID guid, NV_ENC_CAPS_PARAM *p, int *out)
{
    static const struct {
        NV_ENC_CAPS cap;
        const char *name;
    } by_name[] = {
        { NV_ENC_CAPS_NUM_MAX_BFRAMES, "bframes" },
        { NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE, "bref" },
        { NV_ENC_CAPS_WIDTH_MAX, "max_width" },
        { NV_ENC_CAPS_HEIGHT_MAX, "max_height" },
        { NV_ENC_CAPS_WIDTH_MIN, "min_width" },
        { NV_ENC_CAPS_HEIGHT_MIN, "min_height" },
        { NV_ENC_CAPS_SUPPORT_10BIT_ENCODE, "ten_bit" },
        { NV_ENC_CAPS_SUPPORT_YUV444_ENCODE, "yuv444" },
        { NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE, "lossless" },
        { NV_ENC_CAPS_SUPPORT_LOOKAHEAD, "lookahead" },
        { NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ, "temporal_aq" },
        { NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES, "multiple_refs" },
        { NV_ENC_CAPS_SUPPORT_WEIGHTED_PREDICTION, "weighted" },
        { NV_ENC_CAPS_SUPPORT_CABAC, "cabac" },
        { NV_ENC_CAPS_NUM_ENCODER_ENGINES, "engines" },
    };
    struct nvenc_session *s = handle;
    int codec = codec_of(guid);
    ENTER("caps");
    if (!has_codec(s->dev, codec)) return NV_ENC_ERR_INVALID_PARAM;
    *out = 0;
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        if (by_name[i].cap == p->capsToQuery) *out = capability(s->dev, codec, by_name[i].name);
    if (p->capsToQuery == NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE) *out = 1;
    return NV_ENC_SUCCESS;
}

CALL GetEncodePresetConfigEx(void *handle, GUID guid, GUID preset, NV_ENC_TUNING_INFO tuning, NV_ENC_PRESET_CONFIG *p)
{
    struct nvenc_session *s = handle;
    int codec = codec_of(guid);
    (void)preset;
    ENTER("preset");
    if (!has_codec(s->dev, codec)) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    NV_ENC_CONFIG *c = &p->presetCfg;
    uint32_t version = c->version;
    int quality = tuning == NV_ENC_TUNING_INFO_HIGH_QUALITY || tuning == NV_ENC_TUNING_INFO_UNDEFINED;
    int bframes = (int)fakenv_number(s->dev, "preset_bframes", 0), most = capability(s->dev, codec, "bframes");
    memset(c, 0, sizeof *c);
    c->version = version;
    c->profileGUID = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    c->gopLength = NVENC_INFINITE_GOPLENGTH;
    c->frameIntervalP = !quality ? 1 : 1 + (bframes < most ? bframes : most);
    c->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    c->mvPrecision = NV_ENC_MV_PRECISION_QUARTER_PEL;
    c->rcParams.rateControlMode = NV_ENC_PARAMS_RC_VBR;
    c->rcParams.averageBitRate = 5000000;
    if (codec == H264) {
        c->encodeCodecConfig.h264Config.idrPeriod = c->gopLength;
        c->encodeCodecConfig.h264Config.h264VUIParameters.videoFormat = 5;
        c->encodeCodecConfig.h264Config.chromaFormatIDC = 1;
    } else {
        c->encodeCodecConfig.hevcConfig.idrPeriod = c->gopLength;
        c->encodeCodecConfig.hevcConfig.hevcVUIParameters.videoFormat = 5;
        c->encodeCodecConfig.hevcConfig.chromaFormatIDC = 1;
    }
    return NV_ENC_SUCCESS;
}

CALL GetEncodePresetConfig(void *handle, GUID guid, GUID preset, NV_ENC_PRESET_CONFIG *p)
{
    return GetEncodePresetConfigEx(handle, guid, preset, NV_ENC_TUNING_INFO_HIGH_QUALITY, p);
}

/* --- set-up --- */

static void rate(struct encoder_settings *to, const NV_ENC_RC_PARAMS *rc)
{
    double quality = rc->targetQuality + rc->targetQualityLSB / 256.0;
    int kbps = (int)(rc->averageBitRate / 1000);
    to->max_kbps = (int)(rc->maxBitRate / 1000);
    to->buffer_kb = to->max_kbps;
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP) {
        to->rate = ENCODER_QP;
        to->qp = (int)rc->constQP.qpInterP;
        to->max_kbps = 0;
    } else if (quality > 0 || !kbps) {
        to->rate = ENCODER_CRF;
        to->crf = quality > 0 ? quality : 23;
    } else {
        to->rate = ENCODER_BITRATE;
        to->kbps = kbps;
        if (rc->rateControlMode == NV_ENC_PARAMS_RC_CBR) to->max_kbps = kbps;
        to->buffer_kb = rc->vbvBufferSize ? (int)(rc->vbvBufferSize / 1000) : 2 * kbps;
    }
}

static void aspect(struct encoder_settings *to, const NV_ENC_INITIALIZE_PARAMS *i)
{
    if (!i->darWidth || !i->darHeight) return;
    uint64_t across = (uint64_t)i->darWidth * i->encodeHeight, down = (uint64_t)i->darHeight * i->encodeWidth;
    uint64_t a = across, b = down;
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    to->sar_width = (int)(across / a);
    to->sar_height = (int)(down / a);
}

static void signal_type(struct encoder_settings *to, const NV_ENC_CONFIG_H264_VUI_PARAMETERS *v)
{
    if (v->videoSignalTypePresentFlag) to->full_range = (int)v->videoFullRangeFlag;
    if (!v->colourDescriptionPresentFlag) return;
    to->primaries = (int)v->colourPrimaries;
    to->transfer = (int)v->transferCharacteristics;
    to->matrix = (int)v->colourMatrix;
}

static void h264_settings(struct encoder_settings *to, const NV_ENC_CONFIG *c)
{
    const NV_ENC_CONFIG_H264 *h = &c->encodeCodecConfig.h264Config;
    to->depth = 8;
    to->chroma444 = h->chromaFormatIDC == 3;
    to->cabac = h->entropyCodingMode != NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    to->repeat_headers = !h->disableSPSPPS;
    to->delimiters = (int)h->outputAUD;
    to->level = (int)h->level;
    to->references = (int)h->maxNumRefFrames;
    to->slices = h->sliceMode == 3 ? (int)h->sliceModeData : 1;
    to->profile = same(c->profileGUID, NV_ENC_H264_PROFILE_BASELINE_GUID) ? "baseline"
                  : same(c->profileGUID, NV_ENC_H264_PROFILE_MAIN_GUID)   ? "main"
                  : same(c->profileGUID, NV_ENC_H264_PROFILE_HIGH_GUID)   ? "high"
                                                                          : NULL;
    signal_type(to, &h->h264VUIParameters);
}

/* The depth is told by the profile: the fields for it differ between the API versions of the two FFmpegs. */
static void hevc_settings(struct encoder_settings *to, const NV_ENC_CONFIG *c)
{
    enum { NVENC_LEVEL = 30, X265_LEVEL = 10 };
    const NV_ENC_CONFIG_HEVC *h = &c->encodeCodecConfig.hevcConfig;
    to->depth = same(c->profileGUID, NV_ENC_HEVC_PROFILE_MAIN10_GUID) ? 10 : 8;
    to->chroma444 = h->chromaFormatIDC == 3;
    to->repeat_headers = !h->disableSPSPPS;
    to->delimiters = (int)h->outputAUD;
    to->level = (int)h->level * X265_LEVEL / NVENC_LEVEL;
    to->references = (int)h->maxNumRefFramesInDPB;
    to->profile = to->chroma444 ? NULL : to->depth == 10 ? "main10" : "main";
    signal_type(to, &h->hevcVUIParameters);
}

static const char *wrong_size(const struct nvenc_session *s, const NV_ENC_INITIALIZE_PARAMS *i)
{
    int w = (int)i->encodeWidth, h = (int)i->encodeHeight;
    if (w < capability(s->dev, s->codec, "min_width") || h < capability(s->dev, s->codec, "min_height"))
        return "Frame Dimension less than the minimum supported value.";
    if (w > capability(s->dev, s->codec, "max_width") || h > capability(s->dev, s->codec, "max_height"))
        return "Frame Dimension greater than the maximum supported value.";
    return NULL;
}

CALL InitializeEncoder(void *handle, NV_ENC_INITIALIZE_PARAMS *i)
{
    struct nvenc_session *s = handle;
    struct encoder_settings *to = &s->settings;
    ENTER("initialize");
    if (!i->encodeConfig || !i->encodeWidth || !i->encodeHeight) return NV_ENC_ERR_INVALID_PARAM;
    s->codec = codec_of(i->encodeGUID);
    if (!has_codec(s->dev, s->codec)) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    const NV_ENC_CONFIG *c = i->encodeConfig;
    const char *wrong = wrong_size(s, i);
    if (wrong) {
        snprintf(s->error, sizeof s->error, "%s", wrong);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    s->interval = c->frameIntervalP;
    s->gop = c->gopLength == NVENC_INFINITE_GOPLENGTH || !c->gopLength ? INT64_MAX : c->gopLength;
    s->last_idr = -1;
    to->bframes = s->interval > 1 ? s->interval - 1 : 0;
    if (to->bframes > capability(s->dev, s->codec, "bframes")) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    to->width = (int)i->encodeWidth;
    to->height = (int)i->encodeHeight;
    to->fps_num = i->frameRateNum ? (int)i->frameRateNum : 25;
    to->fps_den = i->frameRateDen ? (int)i->frameRateDen : 1;
    to->preset = fakenv_text(FAKENV_ANY, "software_preset", "ultrafast");
    if (s->codec == H264) h264_settings(to, c);
    else hevc_settings(to, c);
    rate(to, &c->rcParams);
    aspect(to, i);

    size_t memory = (size_t)fakenv_number(s->dev, "session_mb", 0) << 20;
    if (fakenv_memory_take(s->dev, memory)) return NV_ENC_ERR_OUT_OF_MEMORY;
    s->memory = memory;
    s->encoder = s->codec == H264 ? &encoder_x264 : &encoder_x265;
    if (s->encoder->load()) return NV_ENC_ERR_GENERIC;
    if (!(s->coder = s->encoder->open(to))) return NV_ENC_ERR_INVALID_PARAM;
    s->initialized = 1;
    fakenv_session_describe(s->handle, s->dev, s->codec, to->width, to->height);
    fakenv_log(s->dev, "init",
               "\"codec\":\"%s\",\"w\":%d,\"h\":%d,\"depth\":%d,\"bframes\":%d,\"gop\":%lld,\"rc\":%d,\"cq\":%.2f,"
               "\"avg\":%u,\"max\":%u",
               codec_names[s->codec], to->width, to->height, to->depth, to->bframes,
               (long long)(s->gop == INT64_MAX ? -1 : s->gop), (int)c->rcParams.rateControlMode,
               c->rcParams.targetQuality + c->rcParams.targetQualityLSB / 256.0, c->rcParams.averageBitRate,
               c->rcParams.maxBitRate);
    return NV_ENC_SUCCESS;
}

CALL ReconfigureEncoder(void *handle, NV_ENC_RECONFIGURE_PARAMS *p)
{
    (void)p;
    ENTER("reconfigure");
    return NV_ENC_SUCCESS;
}

CALL GetSequenceParams(void *handle, NV_ENC_SEQUENCE_PARAM_PAYLOAD *p)
{
    struct nvenc_session *s = handle;
    ENTER("seqparams");
    if (!s->initialized) return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    int size = s->encoder->headers(s->coder, p->spsppsBuffer, p->inBufferSize);
    if (size < 0) return NV_ENC_ERR_NOT_ENOUGH_BUFFER;
    *p->outSPSPPSPayloadSize = (uint32_t)size;
    return NV_ENC_SUCCESS;
}

/* --- buffers --- */

CALL CreateInputBuffer(void *handle, NV_ENC_CREATE_INPUT_BUFFER *p)
{
    ENTER("createinput");
    int rows = nvenc_rows(p->bufferFmt, p->height), bytes = nvenc_depth(p->bufferFmt) > 8 ? 2 : 1;
    if (!rows) return NV_ENC_ERR_INVALID_PARAM;
    struct nvenc_input *in = handle_new(sizeof *in);
    in->width = p->width;
    in->height = p->height;
    in->format = p->bufferFmt;
    in->pitch = (p->width * (uint32_t)bytes + 255) & ~255u;
    in->data = malloc((size_t)in->pitch * (size_t)rows);
    p->inputBuffer = in;
    return NV_ENC_SUCCESS;
}

CALL DestroyInputBuffer(void *handle, NV_ENC_INPUT_PTR buffer)
{
    struct nvenc_input *in = buffer;
    (void)handle;
    if (!handle_known(in, 1)) return NV_ENC_ERR_INVALID_PTR;
    free(in->data);
    free(in);
    return NV_ENC_SUCCESS;
}

CALL LockInputBuffer(void *handle, NV_ENC_LOCK_INPUT_BUFFER *p)
{
    struct nvenc_input *in = p->inputBuffer;
    ENTER("lockinput");
    if (!handle_known(in, 0)) return NV_ENC_ERR_INVALID_PTR;
    p->bufferDataPtr = in->data;
    p->pitch = in->pitch;
    in->locked = 1;
    return NV_ENC_SUCCESS;
}

CALL UnlockInputBuffer(void *handle, NV_ENC_INPUT_PTR buffer)
{
    (void)handle;
    if (!handle_known(buffer, 0)) return NV_ENC_ERR_INVALID_PTR;
    ((struct nvenc_input *)buffer)->locked = 0;
    return NV_ENC_SUCCESS;
}

CALL CreateBitstreamBuffer(void *handle, NV_ENC_CREATE_BITSTREAM_BUFFER *p)
{
    ENTER("createbitstream");
    p->bitstreamBuffer = handle_new(sizeof(struct nvenc_output));
    return NV_ENC_SUCCESS;
}

CALL DestroyBitstreamBuffer(void *handle, NV_ENC_OUTPUT_PTR buffer)
{
    (void)handle;
    if (!handle_known(buffer, 1)) return NV_ENC_ERR_INVALID_PTR;
    encoder_coded_free(((struct nvenc_output *)buffer)->coded);
    free(buffer);
    return NV_ENC_SUCCESS;
}

CALL RegisterResource(void *handle, NV_ENC_REGISTER_RESOURCE *p)
{
    ENTER("register");
    if (p->resourceType != NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR) return NV_ENC_ERR_UNIMPLEMENTED;
    int rows = nvenc_rows(p->bufferFormat, p->height);
    if (!rows) return NV_ENC_ERR_INVALID_PARAM;
    if (!fakenv_device_range((uintptr_t)p->resourceToRegister, (size_t)p->pitch * (size_t)rows))
        return NV_ENC_ERR_RESOURCE_REGISTER_FAILED;
    struct nvenc_input *in = handle_new(sizeof *in);
    *in = (struct nvenc_input){ .data = p->resourceToRegister,
                                .width = p->width,
                                .height = p->height,
                                .pitch = p->pitch,
                                .format = p->bufferFormat,
                                .on_device = 1 };
    p->registeredResource = in;
    return NV_ENC_SUCCESS;
}

CALL UnregisterResource(void *handle, NV_ENC_REGISTERED_PTR resource)
{
    (void)handle;
    if (!handle_known(resource, 1)) return NV_ENC_ERR_RESOURCE_NOT_REGISTERED;
    free(resource);
    return NV_ENC_SUCCESS;
}

CALL MapInputResource(void *handle, NV_ENC_MAP_INPUT_RESOURCE *p)
{
    struct nvenc_input *in = p->registeredResource;
    ENTER("map");
    if (!handle_known(in, 0)) return NV_ENC_ERR_RESOURCE_NOT_REGISTERED;
    in->mapped = 1;
    p->mappedResource = in;
    p->mappedBufferFmt = in->format;
    return NV_ENC_SUCCESS;
}

CALL UnmapInputResource(void *handle, NV_ENC_INPUT_PTR mapped)
{
    struct nvenc_input *in = mapped;
    ENTER("unmap");
    if (!handle_known(in, 0) || !in->mapped) return NV_ENC_ERR_RESOURCE_NOT_MAPPED;
    in->mapped = 0;
    return NV_ENC_SUCCESS;
}

/* --- encoding --- */

CALL EncodePicture(void *handle, NV_ENC_PIC_PARAMS *p)
{
    struct nvenc_session *s = handle;
    struct nvenc_input *in = p->inputBuffer;
    if (!s->initialized) return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    if (p->encodePicFlags & NV_ENC_PIC_FLAG_EOS) {
        ENTER("eos");
        return nvenc_finish(s);
    }
    ENTER("encode");
    if (!in || !p->outputBitstream) return NV_ENC_ERR_INVALID_PTR;
    if (in->on_device && !in->mapped) return NV_ENC_ERR_RESOURCE_NOT_MAPPED;
    if (in->locked) return NV_ENC_ERR_LOCK_BUSY;
    return nvenc_submit(s, in, p->outputBitstream, p->inputTimeStamp, !!(p->encodePicFlags & NV_ENC_PIC_FLAG_FORCEIDR),
                        !!(p->encodePicFlags & NV_ENC_PIC_FLAG_FORCEINTRA));
}

CALL LockBitstream(void *handle, NV_ENC_LOCK_BITSTREAM *p)
{
    static const NV_ENC_PIC_TYPE types[] = { NV_ENC_PIC_TYPE_IDR, NV_ENC_PIC_TYPE_I, NV_ENC_PIC_TYPE_P,
                                             NV_ENC_PIC_TYPE_B };
    struct nvenc_session *s = handle;
    struct nvenc_output *o = p->outputBitstream;
    ENTER("lock");
    if (!o) return NV_ENC_ERR_INVALID_PTR;
    if (!o->coded && !s->waiting && s->coder && nvenc_hurry(s)) return NV_ENC_ERR_GENERIC;
    if (!o->coded) return p->doNotWait ? NV_ENC_ERR_LOCK_BUSY : NV_ENC_ERR_INVALID_PARAM;
    const struct encoder_coded *c = o->coded;
    p->bitstreamBufferPtr = c->data;
    p->bitstreamSizeInBytes = (uint32_t)c->size;
    p->outputTimeStamp = s->timestamps[c->index % TIMESTAMPS];
    p->pictureType = types[c->type];
    p->pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
    p->frameAvgQP = (uint32_t)(c->qp < 0 ? 0 : c->qp);
    p->frameIdx = (uint32_t)c->index;
    p->numSlices = 1;
    o->locked = 1;
    s->locked++;
    return NV_ENC_SUCCESS;
}

CALL UnlockBitstream(void *handle, NV_ENC_OUTPUT_PTR buffer)
{
    struct nvenc_output *o = buffer;
    (void)handle;
    if (!o || !o->locked) return NV_ENC_ERR_INVALID_PARAM;
    o->locked = 0;
    return NV_ENC_SUCCESS;
}

/* --- the library --- */

API NvEncodeAPIGetMaxSupportedVersion(uint32_t *out)
{
    if (!fakenv_allowed()) return NV_ENC_ERR_NO_ENCODE_DEVICE;
    int status = faulty(NULL, FAKENV_ANY, "maxversion");
    *out = api_version();
    return (NVENCSTATUS)status;
}

API NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *l)
{
    if (!fakenv_allowed()) return NV_ENC_ERR_NO_ENCODE_DEVICE;
    int status = faulty(NULL, FAKENV_ANY, "instance");
    if (status) return (NVENCSTATUS)status;
    if ((l->version & 0xff) > api_version() >> 4) return NV_ENC_ERR_INVALID_VERSION;
    l->nvEncOpenEncodeSession = OpenEncodeSession;
    l->nvEncOpenEncodeSessionEx = OpenEncodeSessionEx;
    l->nvEncGetEncodeGUIDCount = GetEncodeGUIDCount;
    l->nvEncGetEncodeGUIDs = GetEncodeGUIDs;
    l->nvEncGetEncodeCaps = GetEncodeCaps;
    l->nvEncGetEncodePresetConfig = GetEncodePresetConfig;
    l->nvEncGetEncodePresetConfigEx = GetEncodePresetConfigEx;
    l->nvEncInitializeEncoder = InitializeEncoder;
    l->nvEncReconfigureEncoder = ReconfigureEncoder;
    l->nvEncGetSequenceParams = GetSequenceParams;
    l->nvEncCreateInputBuffer = CreateInputBuffer;
    l->nvEncDestroyInputBuffer = DestroyInputBuffer;
    l->nvEncLockInputBuffer = LockInputBuffer;
    l->nvEncUnlockInputBuffer = UnlockInputBuffer;
    l->nvEncCreateBitstreamBuffer = CreateBitstreamBuffer;
    l->nvEncDestroyBitstreamBuffer = DestroyBitstreamBuffer;
    l->nvEncRegisterResource = RegisterResource;
    l->nvEncUnregisterResource = UnregisterResource;
    l->nvEncMapInputResource = MapInputResource;
    l->nvEncUnmapInputResource = UnmapInputResource;
    l->nvEncEncodePicture = EncodePicture;
    l->nvEncLockBitstream = LockBitstream;
    l->nvEncUnlockBitstream = UnlockBitstream;
    l->nvEncDestroyEncoder = DestroyEncoder;
    l->nvEncGetLastErrorString = GetLastErrorString;
    l->nvEncSetIOCudaStreams = SetIOCudaStreams;
    return NV_ENC_SUCCESS;
}
