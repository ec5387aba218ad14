#include "h264_headers.h"
#include <string.h>

struct bits {
    uint8_t bytes[512];
    int count;
};

static void put(struct bits *b, int n, unsigned value)
{
    while (n--) {
        if (value >> n & 1) b->bytes[b->count >> 3] |= (uint8_t)(0x80 >> (b->count & 7));
        b->count++;
    }
}

static void flag(struct bits *b, int value) { put(b, 1, value != 0); }

static void ue(struct bits *b, int value)
{
    int length = 0;
    unsigned v = (unsigned)value + 1;
    while (v >> length > 1) length++;
    put(b, length, 0);
    put(b, length + 1, v);
}

static void se(struct bits *b, int value) { ue(b, value > 0 ? 2 * value - 1 : -2 * value); }

static int read_bit(const uint8_t *p, int *at)
{
    int bit = p[*at >> 3] >> (7 - (*at & 7)) & 1;
    ++*at;
    return bit;
}

static int read_ue(const uint8_t *p, int *at)
{
    int zeros = 0;
    unsigned value = 1;
    while (zeros < 31 && !read_bit(p, at)) zeros++;
    for (int i = 0; i < zeros; i++) value = value << 1 | (unsigned)read_bit(p, at);
    return (int)value - 1;
}

static int nal(uint8_t *out, int type, struct bits *b) /* start code, stop bit, emulation prevention */
{
    const uint8_t start[] = { 0, 0, 0, 1, (uint8_t)(3 << 5 | type) };
    int n = sizeof start, zeros = 0;
    put(b, 1, 1);
    memcpy(out, start, sizeof start);
    for (int i = 0; i < (b->count + 7) / 8; i++) {
        if (zeros >= 2 && b->bytes[i] <= 3) {
            out[n++] = 3;
            zeros = 0;
        }
        out[n++] = b->bytes[i];
        zeros = b->bytes[i] ? 0 : zeros + 1;
    }
    return n;
}

static void zigzag(uint8_t *order, int size) /* positions of a size x size block, diagonal by diagonal */
{
    int n = 0;
    for (int sum = 0; sum <= 2 * (size - 1); sum++)
        for (int i = 0; i <= sum; i++) {
            int x = sum % 2 ? sum - i : i, y = sum - x;
            if (x < size && y < size) order[n++] = (uint8_t)(y * size + x);
        }
}

static void scaling_list(struct bits *b, const uint8_t *values, int size)
{
    uint8_t order[64];
    int last = 8;
    zigzag(order, size);
    flag(b, 1);
    for (int i = 0; i < size * size; i++) {
        int delta = values[order[i]] - last;
        se(b, delta > 127 ? delta - 256 : delta < -128 ? delta + 256 : delta);
        last = values[order[i]];
    }
}

static int is_flat(const CUVIDH264PICPARAMS *h)
{
    for (int i = 0; i < 6 * 16; i++)
        if (h->WeightScale4x4[i / 16][i % 16] != 16) return 0;
    for (int i = 0; i < 2 * 64; i++)
        if (h->WeightScale8x8[i / 64][i % 64] != 16) return 0;
    return 1;
}

static int picture_set_id(const CUVIDPICPARAMS *p)
{
    const uint8_t *slice = p->pBitstreamData + p->pSliceDataOffsets[0];
    int at = 8 * 4; /* behind the start code and the byte of the type */
    while (slice[0] || slice[1] || slice[2] != 1) slice++;
    read_ue(slice, &at); /* first macroblock */
    read_ue(slice, &at); /* type of slice */
    return read_ue(slice, &at);
}

static int sequence_set(uint8_t *out, const CUVIDPICPARAMS *p)
{
    enum { HIGH = 100, LEVEL_5_1 = 51, SPS = 7 };
    const CUVIDH264PICPARAMS *h = &p->CodecSpecific.h264;
    struct bits b = { { 0 }, 0 };
    put(&b, 8, HIGH);
    put(&b, 8, 0);
    put(&b, 8, LEVEL_5_1);
    ue(&b, 0); /* id */
    ue(&b, 1); /* 4:2:0 */
    ue(&b, 0);
    ue(&b, 0);
    flag(&b, h->qpprime_y_zero_transform_bypass_flag);
    flag(&b, 0);
    ue(&b, h->log2_max_frame_num_minus4);
    ue(&b, h->pic_order_cnt_type);
    if (h->pic_order_cnt_type == 0) ue(&b, h->log2_max_pic_order_cnt_lsb_minus4);
    ue(&b, h->num_ref_frames);
    flag(&b, 1);
    ue(&b, p->PicWidthInMbs - 1);
    ue(&b, p->FrameHeightInMbs / (h->frame_mbs_only_flag ? 1 : 2) - 1);
    flag(&b, h->frame_mbs_only_flag);
    if (!h->frame_mbs_only_flag) flag(&b, h->MbaffFrameFlag);
    flag(&b, h->direct_8x8_inference_flag);
    flag(&b, 0); /* no cropping: the client crops */
    flag(&b, 0);
    return nal(out, SPS, &b);
}

static int picture_set(uint8_t *out, const CUVIDPICPARAMS *p)
{
    enum { PPS = 8 };
    const CUVIDH264PICPARAMS *h = &p->CodecSpecific.h264;
    struct bits b = { { 0 }, 0 };
    int flat = is_flat(h);
    ue(&b, picture_set_id(p));
    ue(&b, 0);
    flag(&b, h->entropy_coding_mode_flag);
    flag(&b, h->pic_order_present_flag);
    ue(&b, 0);
    ue(&b, h->num_ref_idx_l0_active_minus1);
    ue(&b, h->num_ref_idx_l1_active_minus1);
    flag(&b, h->weighted_pred_flag);
    put(&b, 2, (unsigned)h->weighted_bipred_idc);
    se(&b, h->pic_init_qp_minus26);
    se(&b, 0);
    se(&b, h->chroma_qp_index_offset);
    flag(&b, h->deblocking_filter_control_present_flag);
    flag(&b, h->constrained_intra_pred_flag);
    flag(&b, h->redundant_pic_cnt_present_flag);
    flag(&b, h->transform_8x8_mode_flag);
    flag(&b, !flat);
    for (int i = 0; i < 6 && !flat; i++) scaling_list(&b, h->WeightScale4x4[i], 4);
    for (int i = 0; i < 2 && !flat && h->transform_8x8_mode_flag; i++) scaling_list(&b, h->WeightScale8x8[i], 8);
    se(&b, h->second_chroma_qp_index_offset);
    return nal(out, PPS, &b);
}

int h264_headers(uint8_t out[H264_HEADERS], const CUVIDPICPARAMS *p)
{
    if (p->CodecSpecific.h264.pic_order_cnt_type == 1) return -1; /* its table is not in the structure */
    int n = sequence_set(out, p);
    return n + picture_set(out + n, p);
}
