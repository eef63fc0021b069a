/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions that are merged and compared: texts of blocks that clash often. */
#include "fuzz.h"

#include "types.h"

#define MOST 2048u

#define HEAD "tachyon-types 1 little\n"
#define E "enum E u8\n A 1\n"
#define S "struct S\n e E @0\n = 1 align 1\n"

static const char *const blocks[] = {
    E,
    "enum E u16\n A 1\n",
    "enum E u8\n A 1\n B 2\n",
    "enum F u8\n A 1\n",
    S,
    "struct S\n e F @0\n = 1 align 1\n",
    "struct T\n s S @0\n = 1 align 1\n",
    "message 2 T\n s S @0\n = 1 align 1\n",
    "message 2 U\n s S @0\n = 1 align 1\n",
    "message 2 T +\n s S @0\n = 1 align 1\n",
    "message 10 T\n s S @0\n = 1 align 1\n",
    "message 10 V\n e E @0\n = 1 align 1\n",
    "message 1 V\n e E @0\n = 1 align 1\n",
    "message 1 S\n e E @0\n = 1 align 1\n",
    " x u8 @0\n",
    "\n",
    HEAD,
    HEAD,
    HEAD,
    HEAD,
};

/* As the generator writes them; some fit together. */
static const char *const wholes[] = {
    HEAD E S "message 2 T\n s S @0\n = 1 align 1\n",
    HEAD E S "message 2 U\n s S @0\n = 1 align 1\n",
    HEAD E "message 1 V\n e E @0\n = 1 align 1\n",
    HEAD E "message 1 S\n e E @0\n = 1 align 1\n",
    HEAD E S "struct T\n s S @0\n = 1 align 1\nmessage 10 W\n t T @0\n = 1 align 1\n",
    HEAD E "message 1 V\n e E @0\n = 1 align 1\n" S
           "message 2 T\n s S @0\n = 1 align 1\n",
    HEAD E "message 3 V\n e E @0\n = 1 align 1\n" S
           "message 11 X\n e E @0\n s S @1\n = 2 align 1\n",
    HEAD "enum E u8\n A 1\n B 2\nmessage 5 Y\n e E @0\n = 1 align 1\n",
};

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

struct text {
    char *at;
    size_t size;
};

static void append(struct text *text, const char *what, size_t size) {
    memcpy(text->at + text->size, what, size);
    text->size += size;
}

/* Several descriptions, one after another: those above, or of any blocks. */
static unguided struct text text_of(struct input *input, bool whole) {
    struct text text = {malloc(MOST), 0};
    size_t most = input_below(input, whole ? 4 : 32);
    CHECK(text.at);
    append(&text, HEAD, strlen(HEAD));
    for (size_t i = 0; i < most && text.size + 256 < MOST; i++) {
        size_t choice = input_below(input, whole ? LENGTH(wholes) : LENGTH(blocks));
        const char *next = whole ? wholes[choice] : blocks[choice];
        append(&text, next, strlen(next));
    }
    append(&text, HEAD, strlen(HEAD));     /* two at least, so that they are merged */
    text.at = realloc(text.at, text.size); /* so that a sanitizer sees its end */
    CHECK(text.at);
    return text;
}

static struct text joined(struct text a, struct text b) {
    struct text text = {malloc(a.size + b.size), 0};
    CHECK(text.at);
    append(&text, a.at, a.size);
    append(&text, b.at, b.size);
    return text;
}

/* What merging gives. NULL: it is refused. */
static struct text merged(struct text text, tachyon_error_t *error) {
    struct text whole = {NULL, 0};
    uint64_t fingerprint = 0;
    *error = ty_types_merge(text.at, text.size, &whole.at, &whole.size, &fingerprint);
    CHECK(*error == (whole.at ? TACHYON_SUCCESS : TACHYON_ERR_INVALID_SZ));
    CHECK(!whole.at || fingerprint == tachyon_types_fingerprint(whole.at, whole.size));
    return whole;
}

/* How often a whole block is in a text. */
static size_t count_of(struct text text, const char *block) {
    size_t count = 0, size = strlen(block);
    for (size_t at = 0; at + size <= text.size; at++)
        count += memcmp(text.at + at, block, size) == 0 && text.at[at - 1] == '\n' &&
                 (at + size == text.size || text.at[at + size] != ' ');
    return count;
}

/* Of a merged text: each type once and with one meaning, and the lower type id first. */
static void check_merged(struct text text) {
    size_t last = 0;
    uint64_t fingerprint = 0;
    CHECK_EQ(
        ty_types_check(text.at, text.size, "it", TACHYON_ERR_CORRUPT, &fingerprint),
        TACHYON_SUCCESS);
    CHECK(fingerprint == tachyon_types_fingerprint(text.at, text.size));
    CHECK(count_of(text, blocks[0]) + count_of(text, blocks[1]) +
              count_of(text, blocks[2]) <=
          1);
    CHECK(count_of(text, blocks[4]) + count_of(text, blocks[5]) <= 1);
    CHECK(count_of(text, blocks[5]) + count_of(text, blocks[13]) <= 1);
    CHECK(count_of(text, blocks[7]) + count_of(text, blocks[8]) +
              count_of(text, blocks[9]) <=
          1);
    CHECK(count_of(text, blocks[10]) + count_of(text, blocks[11]) <= 1);
    CHECK(count_of(text, blocks[12]) + count_of(text, blocks[13]) <= 1);
    for (size_t i = 7; i < 14; i++)
        CHECK(count_of(text, blocks[i]) <= 1);
    for (size_t at = 0; at + 8 < text.size; at++)
        if (text.at[at] == '\n' && memcmp(text.at + at + 1, "message ", 8) == 0) {
            size_t id = strtoul(text.at + at + 9, NULL, 10);
            CHECK(id >= last);
            last = id;
        }
}

/* The same blocks, the last one first. */
static struct text reversed(struct text text) {
    struct text other = {malloc(text.size), 0};
    size_t end = text.size;
    CHECK(other.at);
    append(&other, HEAD, strlen(HEAD));
    for (size_t at = text.size; at-- > strlen(HEAD);)
        if (text.at[at - 1] == '\n' && text.at[at] != ' ') {
            append(&other, text.at + at, end - at);
            end = at;
        }
    CHECK_EQ(other.size, text.size);
    return other;
}

/* What fits does so from both sides, and whatever the order of its blocks. */
static void check_compared(struct text a, struct text b) {
    struct text other = reversed(b);
    tachyon_error_t error = ty_types_compare(a.at, a.size, b.at, b.size);
    CHECK_EQ(ty_types_compare(b.at, b.size, a.at, a.size), error);
    CHECK_EQ(ty_types_compare(a.at, a.size, other.at, other.size), error);
    CHECK_EQ(ty_types_compare(other.at, other.size, a.at, a.size), error);
    free(other.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, size};
    tachyon_error_t errors[3];
    bool whole = input_below(&input, 2) == 1;
    struct text a = text_of(&input, whole), b = text_of(&input, whole);
    struct text ab = joined(a, b), ba = joined(b, a);
    struct text one = merged(ab, &errors[0]), other = merged(ba, &errors[1]);
    CHECK_EQ(errors[0], errors[1]);
    if (one.at) {
        check_merged(one);
        check_merged(other);
        CHECK(!whole ||
              (one.size == other.size && memcmp(one.at, other.at, one.size) == 0));
        struct text twice = joined(one, one), again = merged(twice, &errors[2]);
        CHECK_EQ(errors[2], TACHYON_SUCCESS);
        CHECK_EQ(again.size, one.size);
        CHECK_EQ(memcmp(again.at, one.at, one.size), 0);
        CHECK_EQ(ty_types_compare(one.at, one.size, other.at, other.size),
                 TACHYON_SUCCESS);
        free(twice.at);
        free(again.at);
    }
    struct text single = merged(a, &errors[0]), peer = merged(b, &errors[1]);
    if (single.at && peer.at)
        check_compared(single, peer);
    struct text all[] = {a, b, ab, ba, one, other, single, peer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i].at);
    return 0;
}
