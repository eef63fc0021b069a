/* SPDX-License-Identifier: Apache-2.0 */
/* types.c: descriptions and what differs between them; and how two ends exchange them,
 * also with one that lies. */
#include "peers.h"
#include "types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD "tachyon-types 1 little\n"
#define SIDE "enum Side u32\n BID 1\n ASK 2\n"
#define SPREAD "struct Spread\n bid f32 @0\n ask f32 @4\n = 8 align 4\n"
#define TICK                                                                           \
    HEAD SIDE SPREAD                                                                   \
        "message 1 Tick +\n price f64 @0\n side Side @8\n venue u32 @12\n"             \
        " spread Spread @16\n = 24 align 8\n"
#define FIXED HEAD "message 1 Tick\n price f64 @0\n quantity u32 @8\n = 16 align 8\n"
#define MARKET_TICK                                                                    \
    HEAD "message 1 MarketTick\n symbol u8[8] @0\n price f64 @8\n quantity u32 @16\n"  \
         " timestamp u64 @20\n padding u8[4] @28\n = 32 align 1\n"
#define WIRE_TYPES 8u /* a flag */

/* ---- Fingerprint and form ---- */

TEST(the_fingerprint_is_fnv_1a_of_the_text) {
    CHECK_EQ(strlen(MARKET_TICK), 145);
    CHECK(tachyon_types_fingerprint(MARKET_TICK, strlen(MARKET_TICK)) ==
          UINT64_C(0xcb15b587fe0eebb4));
    CHECK(tachyon_types_fingerprint("", 0) == UINT64_C(0xcbf29ce484222325));
    CHECK(tachyon_types_fingerprint("a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    CHECK_EQ(tachyon_types_fingerprint(NULL, 3), 0);
    CHECK_ERROR(tachyon_last_error(), TACHYON_ERR_NULL_PTR);
}

static tachyon_error_t open_with(const char *types, size_t size, uint64_t schema) {
    tachyon_options_t options = options_with_timeout_ms(1);
    tachyon_bus_t *bus;
    options.types = types;
    options.types_size = size;
    options.schema = schema;
    tachyon_error_t error =
        tachyon_bus_connect_with(test_path("nobody"), &options, &bus);
    CHECK(!bus);
    CHECK_EQ(access(test_path("bus"), F_OK), -1);
    return error;
}

TEST(a_text_that_is_no_description_is_refused_by_its_line) {
    static const struct {
        const char *text, *cause;
    } table[] = {
        {"", "does not begin with \"tachyon-types 1 little\""},
        {"tachyon-types 2 little\n", "does not begin with"},
        {"tachyon-types 1 big\n", "does not begin with"},
        {HEAD "message 1 T\n", NULL},
        {HEAD "message 1 T", "does not end with the end of a line"},
        {HEAD "\n", "line 2 of options.types is empty"},
        {HEAD " a u8 @0\n", "line 2 of options.types belongs to no block"},
        {HEAD "union U\n", "line 2 of options.types begins no block"},
        {HEAD "struct T\n a u8 @0\n\n", "line 4 of options.types is empty"},
        {HEAD "struct T\n \xc3\xa4 u8 @0\n", "line 3 of options.types has a byte"},
        {HEAD "struct T\n a\tu8 @0\n", "line 3 of options.types has a byte"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *text = table[i].text;
        tachyon_error_t error = open_with(text, strlen(text), 0);
        CHECK_EQ(error, table[i].cause ? TACHYON_ERR_INVALID_SZ : TACHYON_ERR_TIMEOUT);
        if (table[i].cause)
            CHECK_SAYS(table[i].cause);
    }
}

TEST(a_description_has_bounds) {
    enum { MOST = TYPES_MAX_BYTES + 1 };
    char *text = malloc(MOST);
    size_t size = strlen(HEAD);
    CHECK(text);
    memcpy(text, HEAD, size);
    for (; MOST - size > 12; size += 10)
        memcpy(text + size, "struct aa\n", 10);
    while (size < MOST - 1)
        text[size - 1] = 'a', text[size++] = '\n';
    CHECK_ERROR(open_with(text, size, 0), TACHYON_ERR_TIMEOUT);
    text[size - 1] = 'a', text[size++] = '\n';
    CHECK_ERROR(open_with(text, size, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("65537 bytes");

    size = (size_t)sprintf(text, HEAD "struct %0248d\n", 1);
    CHECK_ERROR(open_with(text, size, 0), TACHYON_ERR_TIMEOUT);
    size = (size_t)sprintf(text, HEAD "struct %0249d\n", 1);
    CHECK_ERROR(open_with(text, size, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("more than 255 bytes");
    free(text);
}

TEST(options_of_types_that_contradict_each_other_are_refused) {
    CHECK_ERROR(open_with(NULL, 5, 0), TACHYON_ERR_NULL_PTR);
    CHECK_SAYS("options.types is NULL");
    CHECK_ERROR(open_with(MARKET_TICK, strlen(MARKET_TICK), 3), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.schema is 0000000000000003, and that of options.types "
               "cb15b587fe0eebb4");
    CHECK_ERROR(
        open_with(MARKET_TICK, strlen(MARKET_TICK), UINT64_C(0xcb15b587fe0eebb4)),
        TACHYON_ERR_TIMEOUT);
    tachyon_options_t options = options_with_timeout_ms(1);
    tachyon_bus_t *bus;
    options.types_required = 1;
    CHECK_ERROR(tachyon_bus_connect_with("nobody", &options, &bus),
                TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.types_required is 1, and options.types is NULL");
    options.types_required = 2;
    CHECK_ERROR(tachyon_bus_connect_with("nobody", &options, &bus),
                TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.types_required is 2, above 1");
}

/* ---- What differs ---- */

static const struct difference {
    const char *ours, *theirs;
    const char *cause, *at_the_peer; /* NULL: none */
} differences[] = {
    {TICK, TICK, NULL, NULL},
    /* A field that was appended, alone and with an enum that is new or in a new place. */
    {HEAD "message 1 T +\n a u8 @0\n = 1 align 1\n",
     HEAD "message 1 T +\n a u8 @0\n b u8 @1\n = 2 align 1\n", NULL, NULL},
    {HEAD "message 1 T +\n a u32 @0\n = 4 align 4\n",
     HEAD SIDE "message 1 T +\n a u32 @0\n s Side @4\n = 8 align 4\n", NULL, NULL},
    {HEAD "message 1 T +\n a u32 @0\n = 4 align 4\n" SIDE
          "message 2 U\n s Side @0\n = 4 align 4\n",
     HEAD SIDE "message 1 T +\n a u32 @0\n s Side @4\n = 8 align 4\n"
               "message 2 U\n s Side @0\n = 4 align 4\n",
     NULL, NULL},
    {HEAD "message 1 T +\n a u32 @0\n = 4 align 4\n" SIDE
          "message 2 U\n s Side @0\n = 4 align 4\n",
     HEAD "enum Side u32\n BID 1\n ASK 3\n"
          "message 1 T +\n a u32 @0\n s Side @4\n = 8 align 4\n"
          "message 2 U\n s Side @0\n = 4 align 4\n",
     "Side.ASK: 2 here, 3 at the peer", "Side.ASK: 3 here, 2 at the peer"},
    /* An enumerator at the end, and in the middle. */
    {TICK,
     HEAD "enum Side u32\n BID 1\n ASK 2\n MID 3\n" SPREAD
          "message 1 Tick +\n price f64 @0\n side Side @8\n venue u32 @12\n"
          " spread Spread @16\n = 24 align 8\n",
     NULL, NULL},
    {HEAD "enum E u8\n A 1\n C 3\n", HEAD "enum E u8\n A 1\n B 2\n C 3\n",
     "E: C 3 here, B 2 at the peer", "E: B 2 here, C 3 at the peer"},
    {HEAD "enum E u8\n A 1\n", HEAD "enum E u16\n A 1\n",
     "E: enum u8 here, enum u16 at the peer", "E: enum u16 here, enum u8 at the peer"},
    {HEAD "enum E u8\n A 1\n", HEAD "struct E\n = 1 align 1\n",
     "E: enum u8 here, struct  at the peer", "E: struct  here, enum u8 at the peer"},
    /* Retyped, moved, renamed, appended where nothing may be, removed. */
    {FIXED, HEAD "message 1 Tick\n price f64 @0\n quantity u64 @8\n = 16 align 8\n",
     "Tick.quantity: u32 at 8 here, u64 at 8 at the peer",
     "Tick.quantity: u64 at 8 here, u32 at 8 at the peer"},
    {FIXED, HEAD "message 1 Tick\n price f64 @0\n quantity u32 @12\n = 16 align 8\n",
     "Tick.quantity: u32 at 8 here, u32 at 12 at the peer",
     "Tick.quantity: u32 at 12 here, u32 at 8 at the peer"},
    {FIXED, HEAD "message 1 Tick\n price f64 @0\n volume u32 @8\n = 16 align 8\n",
     "Tick: quantity u32 at 8 here, volume u32 at 8 at the peer",
     "Tick: volume u32 at 8 here, quantity u32 at 8 at the peer"},
    {FIXED,
     HEAD "message 1 Tick\n price f64 @0\n quantity u32 @8\n more u32 @12\n"
          " = 16 align 8\n",
     "Tick.more: only at the peer, u32 at 12", "Tick.more: only here, u32 at 12"},
    {FIXED, HEAD "message 1 Tick\n price f64 @0\n quantity u32 @8\n = 24 align 8\n",
     "Tick: 16 bytes, align 8 here, 24 bytes, align 8 at the peer",
     "Tick: 24 bytes, align 8 here, 16 bytes, align 8 at the peer"},
    /* What a growing message holds does not grow. */
    {TICK,
     HEAD SIDE "struct Spread\n bid f32 @0\n ask f32 @4\n mid f32 @8\n = 12 align 4\n"
               "message 1 Tick +\n price f64 @0\n side Side @8\n venue u32 @12\n"
               " spread Spread @16\n = 28 align 8\n",
     "Spread.mid: only at the peer, f32 at 8", "Spread.mid: only here, f32 at 8"},
    /* Messages. */
    {FIXED, HEAD "message 1 Trade\n price f64 @0\n quantity u32 @8\n = 16 align 8\n",
     "message 1: Tick here, Trade at the peer",
     "message 1: Trade here, Tick at the peer"},
    {FIXED, HEAD "message 1 Tick +\n price f64 @0\n quantity u32 @8\n = 16 align 8\n",
     "message 1: Tick here, Tick + at the peer",
     "message 1: Tick + here, Tick at the peer"},
    {FIXED, HEAD "message 2 Tick\n price f64 @0\n quantity u32 @8\n = 16 align 8\n",
     "message 1 Tick: only here", "message 2 Tick: only here"},
    {FIXED, FIXED "message 3 More\n a u8 @0\n = 1 align 1\n",
     "message 3 More: only at the peer", "message 3 More: only here"},
    {HEAD, FIXED, "message 1 Tick: only at the peer", "message 1 Tick: only here"},
    /* What no generator writes: compared as it stands. */
    {HEAD "message\n", HEAD "message 1\n", "message  : only here",
     "message 1 : only here"},
    {HEAD "message 1 T +\n a u8 @0\n", HEAD "message 1 T +\n",
     "T.a: only here, u8 at 0", "T.a: only at the peer, u8 at 0"},
    {HEAD "struct S\n a\n", HEAD "struct S\n b\n", "S: a  here, b  at the peer",
     "S: b  here, a  at the peer"},
    {HEAD "struct S\n  \n", HEAD "struct S\n =\n", "S.: only here",
     "S.: only at the peer"},
};

#define DIFFERENCES (sizeof differences / sizeof differences[0])

static void check_difference(const char *ours, const char *theirs, const char *cause) {
    size_t our_size = strlen(ours), their_size = strlen(theirs);
    /* Behind each of them is memory that the sanitizers watch. */
    char *here = malloc(our_size), *there = malloc(their_size);
    CHECK(here && there);
    memcpy(here, ours, our_size);
    memcpy(there, theirs, their_size);
    uint64_t fingerprint = 0;
    CHECK_OK(ty_types_check(here, our_size, "it", TACHYON_ERR_CORRUPT, &fingerprint));
    CHECK(fingerprint == tachyon_types_fingerprint(here, our_size));
    CHECK_ERROR(ty_types_compare(here, our_size, there, their_size),
                cause ? TACHYON_ERR_ABI_MISMATCH : TACHYON_SUCCESS);
    if (cause)
        CHECK_SAYS(cause);
    free(here);
    free(there);
}

TEST(the_first_difference_is_named_from_both_sides) {
    for (size_t i = 0; i < DIFFERENCES; i++) {
        const struct difference *row = &differences[i];
        check_difference(row->ours, row->theirs, row->cause);
        check_difference(row->theirs, row->ours, row->at_the_peer);
    }
}

TEST(the_worst_texts_are_compared_in_time) {
    /* Blocks of one line each, in opposite order: who looks each up from the start needs
     * the square of their number. */
    char *ours = malloc(TYPES_MAX_BYTES), *theirs = malloc(TYPES_MAX_BYTES);
    size_t size = strlen(HEAD), count = (TYPES_MAX_BYTES - size) / 11;
    CHECK(ours && theirs);
    memcpy(ours, HEAD, size);
    memcpy(theirs, HEAD, size);
    for (size_t i = 0; i < count; i++) {
        char block[12];
        snprintf(block, sizeof block, "enum E%04zu\n", i);
        memcpy(ours + size + 11 * i, block, 11);
        memcpy(theirs + size + 11 * (count - 1 - i), block, 11);
    }
    size += 11 * count;
    CHECK_TAKES(0, 100, CHECK_OK(ty_types_compare(ours, size, theirs, size)));
    free(ours);
    free(theirs);
}

TEST(mutants_of_a_text_are_compared_without_harm) {
    static const char parts[] = HEAD " =+@\n\n";
    const char *texts[] = {TICK, FIXED, MARKET_TICK};
    uint64_t state = 1;
    for (int round = 0; round < 20000; round++) {
        char *mutants[2];
        size_t sizes[2];
        for (int side = 0; side < 2; side++) {
            const char *from = texts[(round + side) % 3];
            sizes[side] = strlen(from);
            mutants[side] = malloc(sizes[side]);
            CHECK(mutants[side]);
            memcpy(mutants[side], from, sizes[side]);
            for (int i = 0; i < 3; i++) {
                state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
                size_t at = strlen(HEAD) + (state >> 33) % (sizes[side] - strlen(HEAD));
                mutants[side][at] = parts[(state >> 50) % (sizeof parts - 1)];
            }
            uint64_t unused;
            if (ty_types_check(mutants[side], sizes[side], "it", TACHYON_ERR_CORRUPT,
                               &unused) != TACHYON_SUCCESS)
                memcpy(mutants[side], from, sizes[side]);
        }
        tachyon_error_t there =
            ty_types_compare(mutants[0], sizes[0], mutants[1], sizes[1]);
        CHECK_ERROR(ty_types_compare(mutants[1], sizes[1], mutants[0], sizes[0]),
                    there); /* both say the same */
        free(mutants[0]);
        free(mutants[1]);
    }
}

/* ---- Several to one ---- */

#define PART "struct Part\n side Side @0\n = 4 align 4\n"
#define FIRST "message 1 Tick +\n side Side @0\n = 4 align 4\n"
#define SECOND "message 2 Order\n part Part @0\n = 4 align 4\n"
#define TENTH "message 10 Both\n part Part @0\n side Side @4\n = 8 align 4\n"

static const struct {
    const char *given, *merged; /* NULL: is one already */
} merges[] = {
    {HEAD, NULL},
    {HEAD SIDE FIRST, NULL},
    {HEAD SIDE FIRST HEAD SIDE PART SECOND, HEAD SIDE FIRST PART SECOND},
    {HEAD SIDE PART SECOND HEAD SIDE FIRST, HEAD SIDE FIRST PART SECOND},
    {HEAD SIDE PART TENTH HEAD SIDE PART SECOND HEAD SIDE FIRST,
     HEAD SIDE FIRST PART SECOND TENTH},
    /* What the text of several has but once, it need not have beside the second. */
    {HEAD SIDE FIRST PART SECOND HEAD SIDE PART SECOND, HEAD SIDE FIRST PART SECOND},
    {HEAD SIDE PART SECOND HEAD SIDE FIRST PART SECOND, HEAD SIDE FIRST PART SECOND},
    {HEAD SIDE FIRST PART TENTH HEAD SIDE PART SECOND,
     HEAD SIDE FIRST PART SECOND TENTH},
    {HEAD SIDE FIRST HEAD SIDE FIRST HEAD HEAD SIDE FIRST, HEAD SIDE FIRST},
    /* A message that is a part of another one, which comes before it or behind. */
    {HEAD "message 1 In\n a u8 @0\n = 1 align 1\n" HEAD
          "struct In\n a u8 @0\n = 1 align 1\nmessage 2 Out\n in In @0\n"
          " = 1 align 1\n",
     HEAD "message 1 In\n a u8 @0\n = 1 align 1\nmessage 2 Out\n in In @0\n"
          " = 1 align 1\n"},
    {HEAD "message 3 In\n a u8 @0\n = 1 align 1\n" HEAD
          "struct In\n a u8 @0\n = 1 align 1\nmessage 2 Out\n in In @0\n"
          " = 1 align 1\n",
     HEAD "struct In\n a u8 @0\n = 1 align 1\nmessage 2 Out\n in In @0\n"
          " = 1 align 1\nmessage 3 In\n a u8 @0\n = 1 align 1\n"},
    /* What no message holds is none of theirs. */
    {HEAD "enum Unused u8\n A 1\n" HEAD SIDE FIRST SIDE, HEAD SIDE FIRST},
    {HEAD HEAD, HEAD},
};

/* What merging gives, without a final 0; behind what was given is memory that the
 * sanitizers watch. */
static tachyon_error_t merge_copy(const char *given, size_t size, char **merged,
                                  size_t *merged_size) {
    char *copy = malloc(size ? size : 1);
    CHECK(copy);
    memcpy(copy, given, size);
    uint64_t fingerprint = 0;
    tachyon_error_t error =
        ty_types_merge(copy, size, merged, merged_size, &fingerprint);
    CHECK(error == TACHYON_SUCCESS || !*merged);
    if (error == TACHYON_SUCCESS)
        CHECK(fingerprint == tachyon_types_fingerprint(*merged ? *merged : copy,
                                                       *merged ? *merged_size : size));
    free(copy);
    return error;
}

TEST(several_descriptions_become_that_of_all_their_messages) {
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        char *merged;
        size_t size;
        CHECK_OK(merge_copy(merges[i].given, strlen(merges[i].given), &merged, &size));
        CHECK_EQ(!merged, !merges[i].merged);
        if (!merged)
            continue;
        CHECK_EQ(size, strlen(merges[i].merged));
        CHECK_EQ(memcmp(merged, merges[i].merged, size), 0);
        free(merged);
    }
}

TEST(descriptions_that_contradict_each_other_are_refused) {
    static const struct {
        const char *text, *cause;
    } table[] = {
        {HEAD SIDE FIRST HEAD "message 1 Other\n a u8 @0\n = 1 align 1\n",
         "two messages have the type_id 1: Tick + and Other"},
        {HEAD SIDE FIRST HEAD SIDE "message 1 Tick\n side Side @0\n = 4 align 4\n",
         "two messages have the type_id 1: Tick + and Tick"},
        {FIXED HEAD "message 1 Tick\n price f64 @0\n = 8 align 8\n",
         "two different types are called Tick"},
        {FIXED HEAD "message 2 Tick\n price f64 @0\n = 8 align 8\n",
         "two different types are called Tick"},
        {HEAD SIDE FIRST HEAD
         "enum Side u32\n BID 1\n ASK 3\nmessage 3 Other\n s Side @0\n"
         " = 4 align 4\n",
         "two different types are called Side"},
        {HEAD "enum E u8\n A 1\nmessage 1 T\n e E @0\n = 1 align 1\n" HEAD
              "enum E i8\n A 1\nmessage 2 U\n e E @0\n = 1 align 1\n",
         "two different types are called E"},
        {HEAD "enum E u8\nmessage 1 T\n e E @0\n = 1 align 1\n" HEAD "message 2 E\n",
         "two different types are called E"},
        {HEAD SIDE FIRST HEAD " a u8 @0\n",
         "line 2 of description 2 of options.types belongs to no block"},
        {HEAD SIDE "\n" HEAD SIDE FIRST,
         "line 5 of description 1 of options.types is empty"},
        {HEAD SIDE FIRST "tachyon-types 2 little\n",
         "line 8 of options.types begins no block"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        CHECK_ERROR(open_with(table[i].text, strlen(table[i].text), 0),
                    TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS(table[i].cause);
    }
}

TEST(what_is_merged_has_bounds) {
    enum { FIT = 3448, HEAD_BYTES = 23, BLOCK_BYTES = 19 };
    char *texts = malloc(2 * (FIT + 1) * (HEAD_BYTES + BLOCK_BYTES) + 1), *merged;
    size_t size = 0, merged_size;
    CHECK(texts);
    for (int i = 2 * FIT - 1; i >= 0; i--) /* backwards, and each twice */
        size += (size_t)sprintf(texts + size, HEAD "message %04d T%04d\n", i % FIT,
                                i % FIT);
    CHECK_TAKES(0, 200, CHECK_OK(merge_copy(texts, size, &merged, &merged_size)));
    CHECK_EQ(merged_size, HEAD_BYTES + FIT * BLOCK_BYTES);
    CHECK_EQ(memcmp(merged + HEAD_BYTES + BLOCK_BYTES, "message 0001 T0001", 18), 0);
    free(merged);
    CHECK_ERROR(open_with(texts, size, 0), TACHYON_ERR_TIMEOUT);
    size += (size_t)sprintf(texts + size, HEAD "message %04d T%04d\n", FIT, FIT);
    CHECK_ERROR(open_with(texts, size, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.types has 65554 bytes when merged, above 65536");
    CHECK_ERROR(open_with(texts, TYPES_MAX_GIVEN + 1, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("options.types_size is 16777217, above 16777216");
    free(texts);
}

TEST(mutants_are_merged_to_what_the_form_allows) {
    static const char parts[] = " =+@\n\n12TSide";
    const char *texts[] = {HEAD SIDE FIRST HEAD SIDE PART SECOND HEAD SIDE PART TENTH,
                           TICK HEAD SIDE FIRST, FIXED MARKET_TICK};
    uint64_t state = 1;
    unsigned merges_done = 0;
    for (int round = 0; round < 20000; round++) {
        char mutant[512], *merged, *again;
        size_t size = strlen(texts[round % 3]), merged_size, again_size;
        memcpy(mutant, texts[round % 3], size);
        for (int i = 0; i < round % 3 + 1; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            mutant[(state >> 33) % size] = parts[(state >> 50) % (sizeof parts - 1)];
        }
        if (merge_copy(mutant, size, &merged, &merged_size) != TACHYON_SUCCESS ||
            !merged)
            continue;
        merges_done++;
        CHECK(merged_size <= size);
        uint64_t unused;
        CHECK_OK(
            ty_types_check(merged, merged_size, "it", TACHYON_ERR_CORRUPT, &unused));
        CHECK_OK(merge_copy(merged, merged_size, &again, &again_size));
        CHECK(!again);
        /* Merged with itself it is what it was. */
        char *twice = malloc(2 * merged_size);
        CHECK(twice);
        memcpy(twice, merged, merged_size);
        memcpy(twice + merged_size, merged, merged_size);
        CHECK_OK(merge_copy(twice, 2 * merged_size, &again, &again_size));
        CHECK_EQ(again_size, merged_size);
        CHECK_EQ(memcmp(again, merged, merged_size), 0);
        free(twice);
        free(again);
        free(merged);
    }
    CHECK(merges_done > 1000);
}

/* ---- Two honest ends ---- */

static tachyon_options_t options_of(const char *types) {
    tachyon_options_t options = options_with_timeout_ms(3000);
    options.types = types;
    options.types_size = types ? strlen(types) : 0;
    return options;
}

TEST(two_ends_whose_messages_fit_are_connected) {
    for (size_t i = 0; i < DIFFERENCES; i++) {
        tachyon_options_t listener = options_of(differences[i].ours);
        tachyon_options_t connector = options_of(differences[i].theirs);
        if (differences[i].cause)
            continue;
        struct pair pair = pair_open_with(4096, &listener, &connector);
        CHECK_OK(tachyon_send(pair.connector, "good", 4, 1, 0, 0));
        pair_close(&pair);
    }
}

TEST(several_descriptions_are_given_one_after_another) {
    static const char whole[] = HEAD SIDE FIRST PART SECOND;
    tachyon_options_t listener = options_of(HEAD SIDE PART SECOND HEAD SIDE FIRST);
    tachyon_options_t connector = options_of(NULL);
    connector.schema = tachyon_types_fingerprint(whole, strlen(whole));
    struct pair pair = pair_open_with(4096, &listener, &connector);
    pair_close(&pair);
    connector = options_of(HEAD SIDE FIRST HEAD
                           "enum Side u32\n BID 1\n ASK 2\nstruct Part\n"
                           " side Side @4\n = 8 align 4\n"
                           "message 2 Order\n part Part @0\n = 8 align 4\n");
    tachyon_bus_t *bus;
    struct listening listening = {
        .path = test_path("bus"), .capacity = 4096, .options = listener};
    listening.options.timeout_ns = 500 * 1000 * 1000;
    listening_start(&listening);
    CHECK_ERROR(tachyon_bus_connect_with(listening.path, &connector, &bus),
                TACHYON_ERR_ABI_MISMATCH);
    CHECK_SAYS("Part.side: Side at 4 here, Side at 0 at the peer");
    CHECK_EQ(listening_join(&listening), TACHYON_ERR_TIMEOUT);
}

TEST(two_ends_whose_messages_differ_both_say_which) {
    for (size_t i = 0; i < DIFFERENCES; i++) {
        const struct difference *row = &differences[i];
        struct listening listening = {.path = test_path("bus"), .capacity = 4096};
        listening.options = options_of(row->ours);
        listening.options.timeout_ns = 100000000;
        tachyon_options_t connector = options_of(row->theirs);
        tachyon_bus_t *bus;
        if (!row->cause)
            continue;
        listening_start(&listening);
        CHECK_ERROR(tachyon_bus_connect_with(listening.path, &connector, &bus),
                    TACHYON_ERR_ABI_MISMATCH);
        CHECK_SAYS(row->at_the_peer);
        CHECK_SAYS(listening.path);
        CHECK_EQ(listening_join(&listening), TACHYON_ERR_TIMEOUT);
        CHECK_OR_AGAIN(strstr(listening.message, row->cause)); /* heard in time */
    }
}

TEST(who_has_no_types_is_let_in_unless_they_are_required) {
    tachyon_options_t typed = options_of(FIXED), none = options_of(NULL);
    struct pair pair = pair_open_with(4096, &typed, &none);
    pair_close(&pair);
    pair = pair_open_with(4096, &none, &typed);
    pair_close(&pair);

    struct listening listening = {.path = test_path("strict"), .capacity = 4096};
    listening.options = typed;
    listening.options.types_required = 1;
    tachyon_bus_t *bus;
    listening_start(&listening);
    CHECK_ERROR(tachyon_bus_connect_with(listening.path, &none, &bus),
                TACHYON_ERR_ABI_MISMATCH);
    CHECK_SAYS("it may require options.types, of which there are none");
    typed.types_required = 1;
    CHECK_OK(tachyon_bus_connect_with(listening.path, &typed, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);

    listening.options.timeout_ns = 100000000;
    listening_start(&listening);
    CHECK_ERROR(tachyon_bus_connect_with(listening.path, &none, &bus),
                TACHYON_ERR_ABI_MISMATCH);
    CHECK_EQ(listening_join(&listening), TACHYON_ERR_TIMEOUT);
    if (!strstr(listening.message, "the peer does not say what messages it has"))
        FAIL("%s", listening.message);

    listening.options = none;
    listening.options.timeout_ns = 100000000;
    listening_start(&listening);
    CHECK_ERROR(tachyon_bus_connect_with(listening.path, &typed, &bus),
                TACHYON_ERR_ABI_MISMATCH);
    CHECK_SAYS("the peer does not say what messages it has");
    CHECK_EQ(listening_join(&listening), TACHYON_ERR_TIMEOUT);
}

TEST(a_listener_with_many_peers_compares_with_each) {
    tachyon_options_t listener = options_of(TICK), connector = options_of(FIXED);
    const char *path = test_path("bus");
    tachyon_bus_t *bus, *peer;
    tachyon_opening_t *opening;
    listener.role = TACHYON_ROLE_CONSUMER;
    listener.max_peers = 2;
    CHECK_OK(tachyon_bus_listen_with(path, 4096, &listener, &bus));
    for (int round = 0; round < 2; round++) {
        tachyon_error_t error;
        connector.types = round ? TICK : FIXED;
        connector.types_size = strlen(connector.types);
        CHECK_OK(tachyon_bus_connect_start(path, &connector, &opening));
        while ((error = tachyon_opening_step(opening, 0)) == TACHYON_ERR_EMPTY) {
            tachyon_event_t event;
            tachyon_bus_accept(bus, &event, 0);
        }
        CHECK_EQ(error, round ? TACHYON_SUCCESS : TACHYON_ERR_ABI_MISMATCH);
        if (round)
            CHECK_OK(tachyon_opening_finish_bus(opening, &peer));
        tachyon_opening_cancel(opening);
    }
    CHECK_OK(tachyon_send(peer, "good", 4, 1, 0, 0));
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}

TEST(the_options_may_go_before_the_listener_answers) {
    char *types = strdup(TICK);
    CHECK(types);
    tachyon_options_t listener = options_of(types);
    tachyon_opening_t *opening;
    tachyon_bus_t *bus;
    const char *path = test_path("bus");
    CHECK_OK(tachyon_bus_listen_start(path, 4096, &listener, &opening));
    memset(types, 'x', strlen(types));
    free(types);
    struct wire_greeting hello = wire_hello(), answer;
    char text[sizeof TICK];
    hello.schema = 3;
    hello.types_size = 5;
    int client = wire_connect(path);
    wire_send(client, &hello, sizeof hello, NULL, 0);
    for (int i = 0; i < 10; i++)
        tachyon_opening_step(opening, 1000000);
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, NULL, NULL, 3000),
             sizeof answer);
    CHECK_EQ(answer.flags & WIRE_TYPES, WIRE_TYPES);
    CHECK_EQ(answer.types_size, strlen(TICK));
    CHECK_EQ(wire_receive(client, text, strlen(TICK), NULL, NULL, 3000), strlen(TICK));
    CHECK_EQ(memcmp(text, TICK, strlen(TICK)), 0);
    CHECK_ERROR(tachyon_opening_finish_bus(opening, &bus), TACHYON_ERR_EMPTY);
    tachyon_opening_cancel(opening); /* with a client that is asked */
    close(client);
}

/* ---- A client that lies ---- */

enum lie {
    LIE_NONE, /* and it is let in */
    LIE_IN_PIECES,
    LIE_LATE,         /* while nobody else waits */
    LIE_TWICE,        /* the second time where it is to acknowledge */
    LIE_ACKNOWLEDGES, /* without an offer */
    LIE_OTHER_HELLO,
    LIE_NO_FLAG,
    LIE_OTHER_TEXT, /* than its fingerprint's */
    LIE_NO_TEXT,    /* of that form */
    LIE_SHORT,
    LIE_SILENT,
    LIE_LEAVES,
    LIES
};

/* The client has been asked. What it says, and whether it is let in. */
static bool tell(int client, struct wire_greeting hello, enum lie lie) {
    size_t size = hello.types_size;
    char both[sizeof hello + sizeof TICK];
    hello.flags = lie == LIE_NO_FLAG ? 0 : WIRE_TYPES;
    hello.position = lie == LIE_OTHER_HELLO ? 64 : 0;
    memcpy(both, &hello, sizeof hello);
    memcpy(both + sizeof hello, TICK, size);
    if (lie == LIE_OTHER_TEXT)
        both[sizeof hello + size - 3] = '4';
    if (lie == LIE_NO_TEXT)
        both[sizeof hello] = 'T';
    size += sizeof hello;
    if (lie == LIE_ACKNOWLEDGES)
        wire_send(client, "A", 1, NULL, 0);
    else if (lie == LIE_IN_PIECES)
        for (size_t i = 0; i < size; i++)
            wire_send(client, both + i, 1, NULL, 0);
    else if (lie != LIE_SILENT && lie != LIE_LEAVES) {
        if (lie == LIE_LATE)
            usleep(100000); /* twice as long as somebody else would wait */
        for (int i = 0; i < 1 + (lie == LIE_TWICE); i++)
            wire_send(client, both, lie == LIE_SHORT ? size - 1 : size, NULL, 0);
    }
    return lie == LIE_NONE || lie == LIE_IN_PIECES || lie == LIE_LATE;
}

TEST(who_lies_about_its_types_is_not_let_in_and_holds_up_nobody) {
    for (enum lie lie = 0; lie < LIES; lie++) {
        struct listening listening = {.path = test_path("bus"), .capacity = 4096};
        listening.options = options_of(
            HEAD SIDE SPREAD "message 1 Tick +\n price f64 @0\n side Side @8\n"
                             " venue u32 @12\n spread Spread @16\n more u64 @24\n"
                             " = 32 align 8\n");
        listening_start(&listening);
        struct wire_greeting hello = wire_hello(), answer;
        char text[512];
        int client = wire_connect(listening.path);
        hello.flags = 0;
        hello.types_size = (uint32_t)strlen(TICK);
        hello.schema = tachyon_types_fingerprint(TICK, strlen(TICK));
        wire_send(client, &hello, sizeof hello, NULL, 0);
        CHECK_EQ(wire_receive(client, &answer, sizeof answer, NULL, NULL, 3000),
                 sizeof answer);
        CHECK_EQ(answer.flags & WIRE_TYPES, WIRE_TYPES);
        CHECK_EQ(answer.types_size, listening.options.types_size);
        CHECK_EQ(wire_receive(client, text, answer.types_size, NULL, NULL, 3000),
                 answer.types_size);
        if (tell(client, hello, lie)) {
            int fds[2];
            size_t count = 2;
            CHECK_EQ(wire_receive(client, &answer, sizeof answer, fds, &count, 3000),
                     sizeof answer);
            CHECK_EQ(answer.status, 0);
            CHECK_EQ(answer.flags & WIRE_TYPES, 0);
            CHECK_EQ(count, 1);
            close(fds[0]);
            wire_send(client, "A", 1, NULL, 0);
            CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
        } else {
            tachyon_options_t options = options_with_timeout_ms(0);
            tachyon_bus_t *bus;
            if (lie == LIE_LEAVES)
                shutdown(client, SHUT_WR);
            CHECK_OK(tachyon_bus_connect_with(listening.path, &options, &bus));
            CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
            tachyon_bus_destroy(bus);
        }
        close(client);
        tachyon_bus_destroy(listening.bus);
    }
}

TEST(a_description_that_is_said_to_be_too_long_is_refused_at_once) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    listening.options = options_of(TICK);
    listening_start(&listening);
    struct wire_greeting hello = wire_hello(), answer;
    int client = wire_connect(listening.path), fd;
    size_t count = 1;
    hello.schema = 3;
    hello.types_size = TYPES_MAX_BYTES + 1;
    wire_send(client, &hello, sizeof hello, NULL, 0);
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, &fd, &count, 3000),
             sizeof answer);
    CHECK_EQ(answer.status, TACHYON_ERR_ABI_MISMATCH);
    CHECK_EQ(answer.flags & WIRE_TYPES, 0);
    close(fd);
    close(client);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect(listening.path, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

/* ---- A listener that lies ---- */

struct liar {
    int socket;
    struct wire_greeting answer;
    const char *text;
    size_t said; /* bytes of the text that are sent */
    bool again;  /* asks twice */
};

static void *ask_for_types(void *context) {
    struct liar *liar = context;
    struct wire_greeting hello;
    char text[sizeof TICK];
    int client = wire_accept(liar->socket);
    CHECK_EQ(wire_receive(client, &hello, sizeof hello, NULL, NULL, 3000),
             sizeof hello);
    for (int i = 0; i < 1 + liar->again; i++) {
        wire_send(client, &liar->answer, sizeof liar->answer, NULL, 0);
        for (size_t k = 0; k < liar->said; k += 10) /* in pieces */
            wire_send(client, liar->text + k, liar->said - k < 10 ? liar->said - k : 10,
                      NULL, 0);
        if (wire_receive(client, &hello, sizeof hello, NULL, NULL, 3000) ==
            sizeof hello) {
            CHECK_EQ(hello.flags & WIRE_TYPES, WIRE_TYPES);
            CHECK_EQ(wire_receive(client, text, hello.types_size, NULL, NULL, 3000),
                     hello.types_size);
            CHECK_EQ(memcmp(text, FIXED, strlen(FIXED)), 0);
        }
    }
    close(client);
    return NULL;
}

static void check_liar(struct liar liar, tachyon_error_t error, const char *cause) {
    tachyon_options_t options = options_of(FIXED);
    tachyon_bus_t *bus;
    const char *path = test_path("bus");
    liar.socket = wire_listen(path);
    options.timeout_ns = 0;
    pthread_t thread = test_thread(ask_for_types, &liar);
    CHECK_ERROR(tachyon_bus_connect_with(path, &options, &bus), error);
    CHECK_SAYS(cause);
    test_join(thread);
    close(liar.socket);
    unlink(path);
}

TEST(a_listener_that_lies_about_its_types_is_left) {
    const char *grown = HEAD SIDE SPREAD;
    struct wire_greeting answer = wire_hello();
    answer.status = TACHYON_ERR_ABI_MISMATCH;
    answer.flags = WIRE_TYPES;
    answer.types_size = (uint32_t)strlen(grown);
    answer.schema = tachyon_types_fingerprint(grown, strlen(grown));
    struct liar honest = {.answer = answer, .text = grown, .said = strlen(grown)};
    check_liar(honest, TACHYON_ERR_ABI_MISMATCH, "message 1 Tick: only here");

    struct liar liar = honest;
    liar.answer.schema++;
    check_liar(liar, TACHYON_ERR_CORRUPT, "not the one of its fingerprint");
    liar = honest;
    liar.text = "tachyon-types 9 little\n" SIDE SPREAD;
    check_liar(liar, TACHYON_ERR_CORRUPT, "the peer's description does not begin with");
    liar = honest;
    liar.answer.types_size = TYPES_MAX_BYTES + 1;
    check_liar(liar, TACHYON_ERR_ABI_MISMATCH, "65537 bytes, above 65536");
    liar = honest;
    liar.answer.schema = 0;
    check_liar(liar, TACHYON_ERR_CORRUPT, "without a reason");
    liar = honest;
    liar.answer.types_size = 0;
    check_liar(liar, TACHYON_ERR_ABI_MISMATCH, "schema");
    liar = honest;
    liar.said = 0;
    liar.answer.schema = 7, liar.answer.status = 0, liar.answer.flags = 0;
    check_liar(liar, TACHYON_ERR_CORRUPT, "does not say which");

    static const char fits[] =
        FIXED "enum Unused u8\n A 1\n"; /* only its fingerprint differs */
    liar = honest;
    liar.text = fits;
    liar.said = strlen(fits);
    liar.answer.types_size = (uint32_t)strlen(fits);
    liar.answer.schema = tachyon_types_fingerprint(fits, strlen(fits));
    liar.again = true;
    check_liar(liar, TACHYON_ERR_CORRUPT, "without a reason");
}
