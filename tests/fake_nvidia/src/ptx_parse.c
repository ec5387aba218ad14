/* Reads the PTX text of one kernel. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx.h"
#include "ptx_code.h"

enum { WORD = 200, LINE = 600, PARTS = 24, LENGTH = 24 };

static const char *type_words[] = { "b8", "b16", "b32", "b64", "u8",  "u16", "u32", "u64",
                                    "s8", "s16", "s32", "s64", "f32", "f64", "pred" };
const int ptx_type_size[] = { 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1 };
static const char *operation_words[] = { "mov",  "ld",    "st",   "tex",  "add", "sub", "mul", "mad", "div",
                                         "rem",  "neg",   "abs",  "min",  "max", "and", "or",  "xor", "not",
                                         "shl",  "shr",   "setp", "selp", "cvt", "sin", "cos", "ex2", "lg2",
                                         "sqrt", "rsqrt", "rcp",  "prmt", "bra", "ret" };
static const char *comparison_words[] = {
    "eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu"
};
static const char *rounding_words[] = { "", "rzi", "rni", "rmi", "rpi" };
static const char *special_words[] = { "%tid.x",   "%tid.y",   "%ntid.x",   "%ntid.y",
                                       "%ctaid.x", "%ctaid.y", "%nctaid.x", "%nctaid.y" };

#define FIND(word, words) find(word, words, (int)(sizeof(words) / sizeof *(words)))
static int find(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word, words[i])) return i;
    return -1;
}

static void unknown(struct ptx_kernel *k, const char *what)
{
    if (!k->unknown[0]) snprintf(k->unknown, sizeof k->unknown, "%.150s", what);
}

static void skip(const char **s, const char *set)
{
    while (**s && (isspace((unsigned char)**s) || strchr(set, **s))) ++*s;
}

static void word(const char **s, char *out)
{
    int n = 0;
    skip(s, "");
    for (; **s && !isspace((unsigned char)**s) && !strchr(",{}[];+", **s); ++*s)
        if (n < WORD - 1) out[n++] = **s;
    out[n] = 0;
}

/* --- operands: registers by number, constants by -1 - number until the number of registers is known --- */

static int constant(struct ptx_kernel *k, uint64_t value)
{
    k->constant = realloc(k->constant, ((size_t)k->constants + 1) * sizeof *k->constant);
    k->constant[k->constants].u64 = value;
    return -1 - k->constants++;
}

static int named_register(struct ptx_kernel *k, const char *w)
{
    int special = FIND(w, special_words);
    if (special >= 0) return special;
    if (!strcmp(w, "%tid.z") || !strcmp(w, "%ctaid.z")) return ALWAYS_ZERO;
    for (int i = 0; i < k->class_count; i++) {
        size_t n = strlen(k->classes[i].prefix);
        if (!strncmp(w, k->classes[i].prefix, n) && isdigit((unsigned char)w[n]))
            return k->classes[i].base + atoi(w + n);
    }
    unknown(k, w);
    return ALWAYS_ZERO;
}

static int operand(struct ptx_kernel *k, const char *w)
{
    if (*w == '%') return named_register(k, w);
    if (*w == '0' && w[1] && strchr("fFdD", w[1]))
        return constant(k, strtoull(w + 2, NULL, 16)); /* the bits of a float */
    if (isdigit((unsigned char)*w)) return constant(k, strtoull(w, NULL, 0));
    if (*w == '-') return constant(k, (uint64_t)strtoll(w, NULL, 0));
    for (int i = 0; i < k->parameter_count; i++)
        if (!strcmp(k->parameters[i].name, w))
            return constant(k, PTX_PARAMETER_ADDRESS | (uint64_t)k->parameters[i].offset);
    unknown(k, w);
    return ALWAYS_ZERO;
}

static int operands(struct ptx_kernel *k, const char **s, int *out) /* one, or {a, b, ...}: how many */
{
    char w[WORD];
    int n = 0;
    skip(s, "");
    if (**s == '{') {
        ++*s;
        while (**s && **s != '}') {
            skip(s, ",");
            word(s, w);
            if (n < 4) out[n++] = operand(k, w);
            skip(s, ",");
        }
        if (**s) ++*s;
    } else {
        word(s, w);
        out[n++] = operand(k, w);
    }
    skip(s, ",");
    return n;
}

static int address(struct ptx_kernel *k, const char **s, int64_t *offset) /* [register+offset] */
{
    char w[WORD];
    skip(s, "[");
    word(s, w);
    if (**s == '+') {
        char *end;
        *offset = strtoll(*s + 1, &end, 0);
        *s = end;
    }
    while (**s && **s != ']') ++*s;
    skip(s, "],");
    return operand(k, w);
}

/* --- instructions --- */

static void modifier(struct ptx_kernel *k, struct ptx_instruction *i, const char *m, const char *whole)
{
    int type = FIND(m, type_words), comparison = FIND(m, comparison_words), rounding = FIND(m, rounding_words);
    if (type >= 0) {
        if (i->type == NO_TYPE) i->type = (uint8_t)type;
        else i->type2 = (uint8_t)type;
    } else if (i->op == SETP && comparison >= 0) {
        i->comparison = (uint8_t)(comparison % COMPARISONS);
        i->unordered = comparison >= COMPARISONS;
    } else if (rounding > 0) i->rounding = (uint8_t)rounding;
    else if (!strcmp(m, "v2")) i->elements = 2;
    else if (!strcmp(m, "v4")) i->elements = 4;
    else if (!strcmp(m, "wide")) i->product = WIDE;
    else if (!strcmp(m, "hi")) i->product = HI;
    else if (!strcmp(m, "sat")) i->saturate = 1;
    else if (!strcmp(m, "param")) i->parameter_space = 1;
    else if (!strcmp(m, "shared") || !strcmp(m, "local")) unknown(k, whole);
}

static void arguments(struct ptx_kernel *k, struct ptx_instruction *i, const char *s, const char *whole)
{
    char w[WORD];
    int some[4] = { 0 }, n = 0;
    switch (i->op) {
    case RET: break;
    case BRA:
        word(&s, w);
        if (k->jump_count == (int)(sizeof k->jumps / sizeof *k->jumps)) {
            unknown(k, whole);
            break;
        }
        k->jumps[k->jump_count].instruction = k->count;
        snprintf(k->jumps[k->jump_count++].name, sizeof k->jumps->name, "%.39s", w);
        break;
    case LD:
        operands(k, &s, i->to);
        i->from[0] = address(k, &s, &i->offset);
        break;
    case ST:
        i->from[0] = address(k, &s, &i->offset);
        operands(k, &s, i->to);
        break;
    case TEX:
        operands(k, &s, i->to);
        skip(&s, "[");
        word(&s, w);
        i->from[0] = operand(k, w);
        skip(&s, ",");
        operands(k, &s, some);
        i->from[1] = some[0];
        i->from[2] = some[1];
        break;
    default:
        if (operands(k, &s, i->to) > 1) unknown(k, whole); /* moves that pack or unpack */
        for (skip(&s, ""); *s && *s != ';' && n < 4; skip(&s, "")) {
            if (operands(k, &s, some) > 1) unknown(k, whole);
            i->from[n++] = some[0];
        }
    }
}

static void instruction(struct ptx_kernel *k, const char *s)
{
    char w[WORD], whole[WORD], parts[PARTS][LENGTH];
    struct ptx_instruction i = { .predicate = -1, .type = NO_TYPE, .type2 = NO_TYPE, .elements = 1 };
    int n = 0;
    skip(&s, "");
    if (*s == '@') {
        s++;
        if (*s == '!') {
            i.negate = 1;
            s++;
        }
        word(&s, w);
        i.predicate = operand(k, w);
    }
    word(&s, w);
    snprintf(whole, sizeof whole, "%s", w);
    for (char *p = strtok(w, "."); p && n < PARTS; p = strtok(NULL, ".")) snprintf(parts[n++], LENGTH, "%s", p);
    if (!n) return;
    const char *name = !strcmp(parts[0], "fma") ? "mad" : !strcmp(parts[0], "cvta") ? "mov" : parts[0];
    int op = FIND(name, operation_words);
    if (op < 0) {
        unknown(k, whole);
        return;
    }
    i.op = (uint8_t)op;
    for (int m = 1; m < n; m++) modifier(k, &i, parts[m], whole);
    arguments(k, &i, s, whole);
    if (k->count == k->capacity) {
        k->capacity = k->capacity ? k->capacity * 2 : 128;
        k->code = realloc(k->code, (size_t)k->capacity * sizeof *k->code);
    }
    k->code[k->count++] = i;
}

/* --- the kernel --- */

static void parameters(struct ptx_kernel *k, const char *s, const char *end)
{
    for (const char *p = strstr(s, ".param"); p && p < end; p = strstr(p + 6, ".param")) {
        char w[WORD];
        int size = 0, alignment = 0, count = 1;
        const char *q = p + 6;
        if (k->parameter_count == (int)(sizeof k->parameters / sizeof *k->parameters)) {
            unknown(k, ".param");
            return;
        }
        for (;;) {
            word(&q, w);
            if (!strcmp(w, ".align")) {
                word(&q, w);
                alignment = atoi(w);
            } else if (*w == '.') {
                int type = FIND(w + 1, type_words);
                size = type < 0 ? 8 : ptx_type_size[type];
            } else break;
        }
        if (*q == '[') count = atoi(q + 1);
        if (alignment < size) alignment = size;
        k->parameter_bytes = (k->parameter_bytes + alignment - 1) / alignment * alignment;
        snprintf(k->parameters[k->parameter_count].name, sizeof k->parameters->name, "%s", w);
        k->parameters[k->parameter_count].offset = k->parameter_bytes;
        k->parameters[k->parameter_count++].size = size * count;
        k->parameter_bytes += size * count;
    }
}

static void register_class(struct ptx_kernel *k, const char *line)
{
    char type[16], name[40];
    int count;
    int n = k->class_count;
    if (sscanf(line, ".reg .%15s %39[^<]<%d>", type, name, &count) != 3 ||
        n == (int)(sizeof k->classes / sizeof *k->classes)) {
        unknown(k, line);
        return;
    }
    snprintf(k->classes[n].prefix, sizeof k->classes->prefix, "%.11s", name);
    k->classes[n].base = k->registers;
    k->class_count++;
    k->registers += count;
}

static void label(struct ptx_kernel *k, const char *name)
{
    if (k->label_count == (int)(sizeof k->labels / sizeof *k->labels)) {
        unknown(k, name);
        return;
    }
    snprintf(k->labels[k->label_count].name, sizeof k->labels->name, "%.39s", name);
    k->labels[k->label_count++].at = k->count;
}

static void statement(struct ptx_kernel *k, char *line, size_t n)
{
    if (!strncmp(line, ".reg", 4)) register_class(k, line);
    else if (line[n - 1] == ':') {
        line[n - 1] = 0;
        label(k, line);
    } else if (line[0] != '.') instruction(k, line);
    else if (strncmp(line, ".loc", 4) && strncmp(line, ".pragma", 7)) unknown(k, line);
}

static void body(struct ptx_kernel *k, const char *s)
{
    char line[LINE];
    while (*s && !k->unknown[0]) {
        size_t n = 0;
        while (isspace((unsigned char)*s)) s++;
        for (; *s && *s != '\n'; s++)
            if (n < LINE - 1) line[n++] = *s;
        line[n] = 0;
        char *comment = strstr(line, "//");
        if (comment) *comment = 0;
        for (n = strlen(line); n && isspace((unsigned char)line[n - 1]);) line[--n] = 0;
        if (line[0] == '}') return;
        if (n) statement(k, line, n);
    }
}

static void resolve(struct ptx_kernel *k)
{
    for (int j = 0; j < k->jump_count; j++) {
        int at = -1;
        for (int l = 0; l < k->label_count; l++)
            if (!strcmp(k->labels[l].name, k->jumps[j].name)) at = k->labels[l].at;
        if (at < 0) unknown(k, k->jumps[j].name);
        k->code[k->jumps[j].instruction].target = at;
    }
    for (int c = 0; c < k->count; c++)
        for (int j = 0; j < 4; j++) {
            int *from = &k->code[c].from[j], *to = &k->code[c].to[j];
            if (*from < 0) *from = k->registers - 1 - *from;
            if (*to < 0) *to = k->registers - 1 - *to;
        }
}

struct ptx_kernel *ptx_load(const char *entry)
{
    struct ptx_kernel *k = calloc(1, sizeof *k);
    const char *open = strchr(entry, '('), *close = strchr(entry, ')');
    k->registers = SPECIAL_REGISTERS;
    parameters(k, open, close);
    body(k, strchr(close, '{') + 1);
    if (!k->unknown[0]) resolve(k);
    return k;
}

const char *ptx_unknown(const struct ptx_kernel *k) { return k->unknown[0] ? k->unknown : NULL; }

void ptx_free(struct ptx_kernel *k)
{
    free(k->code);
    free(k->constant);
    free(k);
}
