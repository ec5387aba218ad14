/* A kernel as the parser leaves it and the interpreter runs it. */
#ifndef FAKENV_PTX_CODE_H
#define FAKENV_PTX_CODE_H
#include <stdint.h>

typedef union {
    uint64_t u64;
    int64_t s64;
    uint32_t u32;
    int32_t s32;
    uint16_t u16;
    int16_t s16;
    uint8_t u8;
    int8_t s8;
    float f32;
    double f64;
} ptx_register;

/* Types in the order of ptx_type_size; operations, comparisons and roundings in the order of the parser's words. */
enum { B8, B16, B32, B64, U8, U16, U32, U64, S8, S16, S32, S64, F32, F64, PRED, NO_TYPE };
enum {
    MOV,
    LD,
    ST,
    TEX,
    ADD,
    SUB,
    MUL,
    MAD,
    DIV,
    REM,
    NEG,
    ABS,
    MIN,
    MAX,
    AND,
    OR,
    XOR,
    NOT,
    SHL,
    SHR,
    SETP,
    SELP,
    CVT,
    SIN,
    COS,
    EX2,
    LG2,
    SQRT,
    RSQRT,
    RCP,
    PRMT,
    BRA,
    RET
};
enum { EQ, NE, LT, LE, GT, GE, COMPARISONS };
enum { AS_IS, TO_ZERO, TO_NEAREST, DOWN, UP, ROUNDINGS };
enum { LO, HI, WIDE };

/* The first registers hold where a thread is; %tid.z and the like are always 0. */
enum { TID_X, TID_Y, NTID_X, NTID_Y, CTAID_X, CTAID_Y, NCTAID_X, NCTAID_Y, ALWAYS_ZERO, SPECIAL_REGISTERS };

struct ptx_instruction {
    uint8_t op, type, type2, elements, comparison, rounding, saturate, product, negate, parameter_space, unordered;
    int predicate, to[4], from[4], target;
    int64_t offset;
};

#define PTX_PARAMETER_ADDRESS 0x8000000000000000ull /* marks an offset into the parameters, which are no memory */

struct ptx_kernel {
    struct ptx_instruction *code;
    int count, capacity;
    int registers, constants; /* constants are registers too, behind the others */
    ptx_register *constant;
    struct {
        char prefix[12];
        int base;
    } classes[16];
    int class_count;
    struct {
        char name[200];
        int offset, size;
    } parameters[32];
    int parameter_count, parameter_bytes;
    struct {
        char name[40];
        int at;
    } labels[256];
    int label_count;
    struct {
        char name[40];
        int instruction;
    } jumps[512];
    int jump_count;
    char unknown[160];
};

extern const int ptx_type_size[];
#endif
