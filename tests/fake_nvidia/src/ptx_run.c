/* Runs a kernel on the CPU, one thread after another. */
#include <ffnvcodec/dynlink_cuda.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_status.h"
#include "gpu.h"
#include "ptx.h"
#include "ptx_code.h"

static const long PATIENCE = 1000000; /* instructions of one thread: a loop without end must not hang a test */

typedef ptx_register reg;
typedef struct ptx_instruction ins;

static int is_float(int type) { return type == F32 || type == F64; }
static int is_signed(int type) { return type >= S8 && type <= S64; }

static int64_t extended(const reg *r, int type)
{
    switch (type) {
    case U8:
    case B8:
    case PRED: return r->u8;
    case U16:
    case B16: return r->u16;
    case U32:
    case B32: return r->u32;
    case S8: return r->s8;
    case S16: return r->s16;
    case S32: return r->s32;
    default: return r->s64;
    }
}

static void put(reg *to, int type, uint64_t value)
{
    switch (ptx_type_size[type]) {
    case 1: to->u64 = value & 0xff; break;
    case 2: to->u64 = value & 0xffff; break;
    case 4: to->u64 = value & 0xffffffffu; break;
    default: to->u64 = value;
    }
}

static void put_float(reg *to, int type, double value)
{
    if (type == F64) {
        to->f64 = value;
        return;
    }
    to->u64 = 0;
    to->f32 = (float)value;
}

/* --- conversions --- */

static double rounded(double v, int how)
{
    switch (how) {
    case TO_ZERO: return trunc(v);
    case TO_NEAREST: return nearbyint(v);
    case DOWN: return floor(v);
    case UP: return ceil(v);
    default: return v;
    }
}

static uint64_t saturated(double v, int type)
{
    static const double low[] = { 0, 0, 0, 0, 0, 0, 0, 0, -128, -32768, -2147483648.0, -9.2233720368547758e18 };
    static const double high[] = { 255, 65535, 4294967295.0, 1.8446744073709550e19,
                                   255, 65535, 4294967295.0, 1.8446744073709550e19,
                                   127, 32767, 2147483647.0, 9.2233720368547748e18 };
    v = isnan(v) ? 0 : v < low[type] ? low[type] : v > high[type] ? high[type] : trunc(v);
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static reg converted(const reg *a, const ins *i)
{
    int to = i->type, from = i->type2 == NO_TYPE ? i->type : i->type2;
    reg out = { 0 };
    if (is_float(from)) {
        double v = rounded(from == F32 ? a->f32 : a->f64, i->rounding);
        if (i->saturate && is_float(to)) v = v < 0 || isnan(v) ? 0 : v > 1 ? 1 : v;
        if (is_float(to)) put_float(&out, to, v);
        else put(&out, to, saturated(v, to));
    } else if (is_float(to)) {
        int unsigned64 = from == U64 || from == B64;
        int64_t v = extended(a, from);
        if (to == F32) out.f32 = unsigned64 ? (float)a->u64 : (float)v; /* once rounded, not twice */
        else out.f64 = unsigned64 ? (double)a->u64 : (double)v;
    } else put(&out, to, (uint64_t)extended(a, from));
    return out;
}

/* --- textures --- */

static float texel(const fakenv_texture *t, int channel, int x, int y)
{
    x = x < 0 ? 0 : x >= (int)t->width ? (int)t->width - 1 : x;
    y = y < 0 ? 0 : y >= (int)t->height ? (int)t->height - 1 : y;
    const uint8_t *p = t->data + (size_t)y * t->pitch + (size_t)(x * t->channels + channel) * (size_t)t->bytes;
    return t->bytes == 2 ? (float)(p[0] | p[1] << 8) : (float)*p;
}

static float sampled(const fakenv_texture *t, int channel, float x, float y)
{
    if (!t->linear) return texel(t, channel, (int)floorf(x), (int)floorf(y));
    float fx = x - 0.5f, fy = y - 0.5f;
    int ix = (int)floorf(fx), iy = (int)floorf(fy);
    float a = roundf((fx - (float)ix) * 256) / 256,
          b = roundf((fy - (float)iy) * 256) / 256; /* as fine as the hardware is */
    return (1 - a) * (1 - b) * texel(t, channel, ix, iy) + a * (1 - b) * texel(t, channel, ix + 1, iy) +
           (1 - a) * b * texel(t, channel, ix, iy + 1) + a * b * texel(t, channel, ix + 1, iy + 1);
}

static void texture(reg *r, const ins *i)
{
    const fakenv_texture *t = (const fakenv_texture *)(uintptr_t)r[i->from[0]].u64;
    float x = r[i->from[1]].f32, y = r[i->from[2]].f32;
    if (t->normalized) {
        x *= (float)t->width;
        y *= (float)t->height;
    }
    for (int c = 0; c < 4; c++) {
        float v = c < t->channels ? sampled(t, c, x, y) : 0;
        reg *to = &r[i->to[c]];
        to->u64 = 0;
        if (i->type == F32) to->f32 = v / (t->bytes == 2 ? 65535.0f : 255.0f);
        else to->u32 = (uint32_t)(v + 0.5f);
    }
}

/* --- arithmetic --- */

static double float_result(const ins *i, double p, double q, double s)
{
    switch (i->op) {
    case ADD: return p + q;
    case SUB: return p - q;
    case MUL: return p * q;
    case MAD: return fma(p, q, s);
    case DIV: return p / q;
    case NEG: return -p;
    case ABS: return fabs(p);
    case MIN: return fmin(p, q);
    case MAX: return fmax(p, q);
    case SIN: return sin(p);
    case COS: return cos(p);
    case EX2: return exp2(p);
    case LG2: return log2(p);
    case SQRT: return sqrt(p);
    case RSQRT: return 1 / sqrt(p);
    default: return 1 / p;
    }
}

/* Apart from the others because each step must round as a float does. */
static float single_result(const ins *i, float p, float q, float s)
{
    switch (i->op) {
    case ADD: return p + q;
    case SUB: return p - q;
    case MUL: return p * q;
    case MAD: return fmaf(p, q, s);
    case DIV: return p / q;
    default: return (float)float_result(i, p, q, s);
    }
}

static void float_operation(const ins *i, reg *to, const reg *a, const reg *b, const reg *c)
{
    if (i->type == F64) {
        to->f64 = float_result(i, a->f64, b->f64, c->f64);
        return;
    }
    float v = single_result(i, a->f32, b->f32, c->f32);
    if (i->saturate) v = v < 0 ? 0 : v > 1 ? 1 : v;
    to->u64 = 0;
    to->f32 = v;
}

static void multiply(const ins *i, reg *to, const reg *a, const reg *b, const reg *c)
{
    int type = i->type;
    int64_t p = extended(a, type), q = extended(b, type);
    uint64_t m = (uint64_t)p * (uint64_t)q;
    if (i->product == HI) m = (uint64_t)((__int128)p * q >> (8 * ptx_type_size[type]));
    if (i->op == MAD) m += c->u64;
    put(to, i->product == WIDE ? (ptx_type_size[type] == 2 ? B32 : B64) : type, m);
}

static uint64_t divided(const ins *i, const reg *a, const reg *b)
{
    int64_t p = extended(a, i->type), q = extended(b, i->type);
    if (!q) return ~0ull;
    if (i->type == U64 || i->type == B64) return i->op == DIV ? a->u64 / b->u64 : a->u64 % b->u64;
    return (uint64_t)(i->op == DIV ? p / q : p % q);
}

static uint64_t smaller_or_larger(const ins *i, const reg *a, const reg *b)
{
    int64_t p = extended(a, i->type), q = extended(b, i->type);
    int less = i->type == U64 || i->type == B64 ? a->u64 < b->u64 : p < q;
    return (uint64_t)((i->op == MIN) == less ? p : q);
}

static uint64_t shifted_right(const ins *i, const reg *a, const reg *b)
{
    int64_t p = extended(a, i->type);
    unsigned width = 8u * (unsigned)ptx_type_size[i->type];
    if (is_signed(i->type)) return (uint64_t)(p >> (b->u32 >= width ? 63 : b->u32));
    return b->u32 >= width ? 0 : (uint64_t)p >> b->u32;
}

static void integer_operation(const ins *i, reg *to, const reg *a, const reg *b, const reg *c)
{
    int type = i->type;
    int64_t p = extended(a, type);
    switch (i->op) {
    case ADD: put(to, type, a->u64 + b->u64); break;
    case SUB: put(to, type, a->u64 - b->u64); break;
    case MUL:
    case MAD: multiply(i, to, a, b, c); break;
    case DIV:
    case REM: put(to, type, divided(i, a, b)); break;
    case NEG: put(to, type, 0 - a->u64); break;
    case ABS: put(to, type, (uint64_t)(p < 0 ? -p : p)); break;
    case MIN:
    case MAX: put(to, type, smaller_or_larger(i, a, b)); break;
    case AND: put(to, type, a->u64 & b->u64); break;
    case OR: put(to, type, a->u64 | b->u64); break;
    case XOR: put(to, type, a->u64 ^ b->u64); break;
    case NOT: put(to, type, type == PRED ? !a->u8 : ~a->u64); break;
    case SHL: put(to, type, b->u32 >= 8u * (unsigned)ptx_type_size[type] ? 0 : a->u64 << b->u32); break;
    case SHR: put(to, type, shifted_right(i, a, b)); break;
    }
}

#define COMPARED(p, q)                  \
    (i->comparison == EQ   ? (p) == (q) \
     : i->comparison == NE ? (p) != (q) \
     : i->comparison == LT ? (p) < (q)  \
     : i->comparison == LE ? (p) <= (q) \
     : i->comparison == GT ? (p) > (q)  \
                           : (p) >= (q))
static int compared(const ins *i, const reg *a, const reg *b)
{
    if (i->type == F32) return isnan(a->f32) || isnan(b->f32) ? i->unordered : COMPARED(a->f32, b->f32);
    if (i->type == F64) return isnan(a->f64) || isnan(b->f64) ? i->unordered : COMPARED(a->f64, b->f64);
    if (i->type == U64) return COMPARED(a->u64, b->u64);
    return COMPARED(extended(a, i->type), extended(b, i->type));
}

static uint64_t permuted(const reg *a, const reg *b, const reg *selector)
{
    uint64_t source = (uint64_t)b->u32 << 32 | a->u32, out = 0;
    for (int n = 0; n < 4; n++) {
        unsigned which = selector->u32 >> (4 * n) & 15;
        uint8_t byte = (uint8_t)(source >> (8 * (which & 7)));
        if (which & 8) byte = byte & 0x80 ? 0xff : 0; /* the sign, repeated */
        out |= (uint64_t)byte << (8 * n);
    }
    return out;
}

/* --- running --- */

static int load_or_store(const struct ptx_kernel *k, reg *r, const ins *i, const uint8_t *parameters)
{
    uint64_t at = r[i->from[0]].u64 + (uint64_t)i->offset;
    size_t size = (size_t)ptx_type_size[i->type];
    if (i->parameter_space) {
        at &= ~PTX_PARAMETER_ADDRESS;
        if (at + size * i->elements > (uint64_t)k->parameter_bytes) return E_ILLEGAL_ADDRESS;
        at += (uintptr_t)parameters;
    } else if (!fakenv_device_range(at, size * i->elements)) return E_ILLEGAL_ADDRESS;
    for (int n = 0; n < i->elements; n++, at += size) {
        void *p = (void *)(uintptr_t)at;
        reg *value = &r[i->to[n]];
        if (i->op == ST) {
            memcpy(p, value, size);
            continue;
        }
        value->u64 = 0;
        memcpy(value, p, size);
        if (is_signed(i->type)) value->s64 = extended(value, i->type);
    }
    return 0;
}

static int run_thread(const struct ptx_kernel *k, reg *r, const uint8_t *parameters)
{
    long left = PATIENCE;
    for (int at = 0; at < k->count;) {
        const ins *i = &k->code[at++];
        if (--left < 0) return E_LAUNCH_TIMEOUT;
        if (i->predicate >= 0 && !!r[i->predicate].u8 == i->negate) continue;
        reg *to = &r[i->to[0]];
        const reg *a = &r[i->from[0]], *b = &r[i->from[1]], *c = &r[i->from[2]];
        int status = 0;
        switch (i->op) {
        case RET: return 0;
        case BRA: at = i->target; break;
        case MOV: put(to, i->type, a->u64); break;
        case CVT: *to = converted(a, i); break;
        case LD:
        case ST: status = load_or_store(k, r, i, parameters); break;
        case TEX: texture(r, i); break;
        case SETP: to->u64 = (uint64_t)compared(i, a, b); break;
        case SELP: put(to, i->type, c->u8 ? a->u64 : b->u64); break;
        case PRMT: put(to, B32, permuted(a, b, c)); break;
        default:
            if (is_float(i->type)) float_operation(i, to, a, b, c);
            else integer_operation(i, to, a, b, c);
        }
        if (status) return status;
    }
    return 0;
}

int ptx_run(const struct ptx_kernel *k, unsigned grid_x, unsigned grid_y, unsigned block_x, unsigned block_y,
            void **arguments)
{
    if (k->unknown[0]) return E_NOT_SUPPORTED;
    uint8_t *parameters = calloc(1, (size_t)k->parameter_bytes + 8);
    reg *r = calloc((size_t)(k->registers + k->constants + 1), sizeof *r);
    int status = 0;
    for (int i = 0; i < k->parameter_count; i++)
        memcpy(parameters + k->parameters[i].offset, arguments[i], (size_t)k->parameters[i].size);
    if (k->constants) memcpy(r + k->registers, k->constant, (size_t)k->constants * sizeof *r);
    r[NTID_X].u64 = block_x;
    r[NTID_Y].u64 = block_y;
    r[NCTAID_X].u64 = grid_x;
    r[NCTAID_Y].u64 = grid_y;
    uint64_t threads = (uint64_t)grid_x * grid_y * block_x * block_y;
    for (uint64_t n = 0; n < threads && !status; n++) {
        uint64_t rest = n;
        r[TID_X].u64 = rest % block_x, rest /= block_x;
        r[TID_Y].u64 = rest % block_y, rest /= block_y;
        r[CTAID_X].u64 = rest % grid_x, rest /= grid_x;
        r[CTAID_Y].u64 = rest;
        status = run_thread(k, r, parameters);
    }
    free(parameters);
    free(r);
    return status;
}
