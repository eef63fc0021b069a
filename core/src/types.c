/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions, line by line; types.h says of what.
 *
 * Two texts are walked side by side for as long as both have the same blocks in the same
 * order. Beyond that blocks are found by name, in an index of the peer's, since a message
 * that has grown may use enums and structs earlier than the other side does. The index is
 * what bounds the time: a text of 64 KiB has thousands of blocks, and who looks each up
 * from the start spends a second on it. Merging sorts, too, for the same reason.
 *
 * A fingerprint is a chain of multiplications, one a byte, and takes longer than anything
 * else here; so a text is looked at for its form while those are under way.
 */
#include "types.h"

#include "tachyon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WORD "tachyon-types"
#define FIRST_LINE FIRST_WORD " 1 little\n"
#define QUOTED 95 /* bytes of a line that an error has */

struct span {
    const char *at;
    size_t length;
};

struct block {
    struct span word; /* "enum", "struct" or "message" */
    struct span key;  /* the name, or of a message its type id: how both call it */
    struct span rest; /* of an enum its kind, of a message its name and perhaps " +" */
    struct span body;
    struct span message; /* to merge: the type id of what it is of, or stands before */
    bool seen;
};

static bool equal(struct span a, struct span b) {
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static bool is(struct span span, const char *text) {
    return equal(span, (struct span){text, strlen(text)});
}

/* Take what stands before the character, or all; the character goes, too. */
static struct span take(struct span *from, char until) {
    const char *end = from->length > 0 ? memchr(from->at, until, from->length) : NULL;
    struct span taken = {from->at, end ? (size_t)(end - from->at) : from->length};
    size_t gone = taken.length + (end != NULL);
    from->at += gone;
    from->length -= gone;
    return taken;
}

/* ---- Fingerprints: FNV-1a, 64 bits ---- */

#define NO_HASH UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_byte(uint64_t hash, char byte) {
    return (hash ^ (unsigned char)byte) * UINT64_C(0x100000001b3);
}

static uint64_t fingerprint_of(uint64_t hash) {
    return hash ? hash : 1;
}

uint64_t tachyon_types_fingerprint(const char *types, size_t size) {
    uint64_t hash = NO_HASH;
    if (is_null(types))
        return 0;
    for (size_t i = 0; i < size; i++)
        hash = hash_byte(hash, types[i]);
    return fingerprint_of(hash);
}

/* ---- The form ---- */

/* Hashes the line, too, and the end of the line, unless there is a fault. */
static const char *fault_of(struct span line, bool in_block, uint64_t *hash) {
    bool odd = false;
    if (line.length == 0)
        return "is empty";
    if (line.length > TYPES_MAX_LINE)
        return "has more than 255 bytes";
    for (size_t i = 0; i < line.length; i++) {
        odd |= line.at[i] < ' ' || line.at[i] > '~';
        *hash = hash_byte(*hash, line.at[i]);
    }
    *hash = hash_byte(*hash, '\n');
    if (odd)
        return "has a byte that is no printable ASCII";
    if (line.at[0] == ' ')
        return in_block ? NULL : "belongs to no block";
    struct span word = take(&line, ' ');
    return is(word, "enum") || is(word, "struct") || is(word, "message")
               ? NULL
               : "begins no block that this release knows";
}

tachyon_error_t ty_types_check(const char *text, size_t size, const char *what,
                               tachyon_error_t error, uint64_t *fingerprint) {
    struct span left = {text, size};
    uint64_t hash = NO_HASH;
    size_t first = strlen(FIRST_LINE);
    if (size > TYPES_MAX_BYTES)
        return ty_fail(error, 0, "%s has %zu bytes, above %u", what, size,
                       TYPES_MAX_BYTES);
    if (size < first || memcmp(text, FIRST_LINE, first) != 0)
        return ty_fail(error, 0, "%s does not begin with \"%.*s\"", what,
                       (int)first - 1, FIRST_LINE);
    if (text[size - 1] != '\n')
        return ty_fail(error, 0, "%s does not end with the end of a line", what);
    for (size_t i = 0; i < first; i++)
        hash = hash_byte(hash, text[i]);
    take(&left, '\n');
    for (unsigned number = 2; left.length > 0; number++) {
        const char *fault = fault_of(take(&left, '\n'), number > 2, &hash);
        if (fault)
            return ty_fail(error, 0, "line %u of %s %s", number, what, fault);
    }
    *fingerprint = fingerprint_of(hash);
    return TACHYON_SUCCESS;
}

/* ---- Blocks ---- */

static struct block take_block(struct span *text) {
    struct span head = take(text, '\n');
    struct block block = {.word = take(&head, ' '), .key = take(&head, ' ')};
    block.rest = head;
    block.body.at = text->at;
    while (text->length > 0 && text->at[0] == ' ')
        block.body.length += take(text, '\n').length + 1;
    return block;
}

static bool is_message(const struct block *block) {
    return is(block->word, "message");
}

static int compare(struct span a, struct span b) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int first = memcmp(a.at, b.at, shorter);
    return first != 0 ? first : (a.length > shorter) - (b.length > shorter);
}

static int by_key(const void *left, const void *right) {
    const struct block *a = left, *b = right;
    if (is_message(a) != is_message(b))
        return is_message(a) ? 1 : -1;
    return compare(a->key, b->key);
}

static void swap(struct block *a, struct block *b) {
    struct block other = *a;
    *a = *b;
    *b = other;
}

typedef int order_fn(const void *, const void *);

/* Let the block at `at` sink to its place in the heap. */
static void sift(struct block *blocks, size_t at, size_t count, order_fn *order) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && order(&blocks[child], &blocks[child + 1]) < 0)
            child++;
        if (order(&blocks[at], &blocks[child]) >= 0)
            return;
        swap(&blocks[at], &blocks[child]);
    }
}

/* Heapsort: glibc's qsort() asks the kernel for the size of memory, which a sandbox need
 * not allow. */
static void sort(struct block *blocks, size_t count, order_fn *order) {
    for (size_t i = count / 2; i-- > 0;)
        sift(blocks, i, count, order);
    for (size_t end = count; end-- > 1;) {
        swap(&blocks[0], &blocks[end]);
        sift(blocks, 0, end, order);
    }
}

/* All of a text, as they stand. NULL: no memory. */
static struct block *blocks_of(struct span text, size_t *count) {
    size_t most = 2; /* the first one, and calloc(0) may be NULL */
    for (size_t i = 1; i < text.length; i++)
        most += text.at[i - 1] == '\n' && text.at[i] != ' ';
    struct block *blocks = calloc(most, sizeof *blocks);
    for (*count = 0; blocks && text.length > 0; ++*count)
        blocks[*count] = take_block(&text);
    return blocks;
}

/* ---- What differs ---- */

#define QUOTE(span) (int)((span).length < QUOTED ? (span).length : QUOTED), (span).at

struct quote {
    char text[QUOTED + 32];
};

/* A line of a body without the name in it. */
static struct quote describe(struct span line) {
    struct quote quote = {"nothing"};
    if (line.length == 0)
        return quote;
    take(&line, ' ');
    struct span name = take(&line, ' '), what = take(&line, ' ');
    if (is(name, "=")) /* size, "align", alignment */
        snprintf(quote.text, sizeof quote.text, "%.*s bytes, %.*s", QUOTE(what),
                 QUOTE(line));
    else if (line.length > 0) /* "@" and the offset */
        snprintf(quote.text, sizeof quote.text, "%.*s at %.*s", QUOTE(what),
                 (int)line.length - 1, line.at + 1);
    else
        snprintf(quote.text, sizeof quote.text, "%.*s", QUOTE(what));
    return quote;
}

static struct span name_of(struct span line) {
    take(&line, ' ');
    return take(&line, ' ');
}

static tachyon_error_t heads_differ(const struct block *ours,
                                    const struct block *theirs) {
    if (is_message(ours))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "message %.*s: %.*s here, %.*s at the peer", QUOTE(ours->key),
                       QUOTE(ours->rest), QUOTE(theirs->rest));
    return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                   "%.*s: %.*s %.*s here, %.*s %.*s at the peer", QUOTE(ours->key),
                   QUOTE(ours->word), QUOTE(ours->rest), QUOTE(theirs->word),
                   QUOTE(theirs->rest));
}

static tachyon_error_t lines_differ(const struct block *block, struct span ours,
                                    struct span theirs) {
    struct span rest = block->rest, name = name_of(ours), other = name_of(theirs);
    struct span owner = is_message(block) ? take(&rest, ' ') : block->key;
    struct quote here = describe(ours), there = describe(theirs);
    if (is(name, "=") && is(other, "="))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "%.*s: %s here, %s at the peer",
                       QUOTE(owner), here.text, there.text);
    if (ours.length == 0 || is(name, "="))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "%.*s.%.*s: only at the peer, %s",
                       QUOTE(owner), QUOTE(other), there.text);
    if (theirs.length == 0 || is(other, "="))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "%.*s.%.*s: only here, %s",
                       QUOTE(owner), QUOTE(name), here.text);
    if (equal(name, other))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "%.*s.%.*s: %s here, %s at the peer", QUOTE(owner), QUOTE(name),
                       here.text, there.text);
    return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                   "%.*s: %.*s %s here, %.*s %s at the peer", QUOTE(owner), QUOTE(name),
                   here.text, QUOTE(other), there.text);
}

static bool may_grow(const struct block *block) {
    return is_message(block) && block->rest.length > 2 &&
           memcmp(block->rest.at + block->rest.length - 2, " +", 2) == 0;
}

static tachyon_error_t compare_blocks(const struct block *ours,
                                      const struct block *theirs) {
    struct span here = ours->body, there = theirs->body;
    if (!equal(ours->word, theirs->word) || !equal(ours->rest, theirs->rest))
        return heads_differ(ours, theirs);
    while (here.length > 0 || there.length > 0) {
        struct span a = take(&here, '\n'), b = take(&there, '\n');
        if (equal(a, b))
            continue;
        /* Both have been the same so far: what is left of one comes behind it. */
        bool enumerators = is(ours->word, "enum") && (a.length == 0 || b.length == 0);
        bool fields = may_grow(ours) && is(name_of(a), "=") != is(name_of(b), "=");
        return enumerators || fields ? TACHYON_SUCCESS : lines_differ(ours, a, b);
    }
    return TACHYON_SUCCESS;
}

static tachyon_error_t only_on_one(const struct block *block, const char *side) {
    return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "message %.*s %.*s: only %s",
                   QUOTE(block->key), QUOTE(block->rest), side);
}

/* What is left of the peer's, and stands in no other place of ours. */
static tachyon_error_t refuse_messages(struct span theirs) {
    tachyon_error_t error = TACHYON_SUCCESS;
    while (theirs.length > 0 && error == TACHYON_SUCCESS) {
        struct block block = take_block(&theirs);
        if (is_message(&block))
            error = only_on_one(&block, "at the peer");
    }
    return error;
}

/* An enum or a struct that only one side has is used by fields that it alone has. */
static tachyon_error_t compare_by_name(struct span ours, struct block *theirs,
                                       size_t count) {
    tachyon_error_t error = TACHYON_SUCCESS;
    while (ours.length > 0 && error == TACHYON_SUCCESS) {
        struct block block = take_block(&ours);
        struct block *other =
            count > 0 ? bsearch(&block, theirs, count, sizeof block, by_key) : NULL;
        if (other) {
            other->seen = true;
            error = compare_blocks(&block, other);
        } else if (is_message(&block)) {
            error = only_on_one(&block, "here");
        }
    }
    for (size_t i = 0; i < count && error == TACHYON_SUCCESS; i++)
        if (is_message(&theirs[i]) && !theirs[i].seen)
            error = only_on_one(&theirs[i], "at the peer");
    return error;
}

/* The first so many blocks of theirs have been compared. */
static tachyon_error_t compare_rest(struct span ours, struct span theirs,
                                    size_t compared) {
    size_t count;
    struct block *blocks = blocks_of(theirs, &count);
    if (!blocks)
        return ty_fail_plain(TACHYON_ERR_MEM);
    for (size_t i = 0; i < compared; i++)
        blocks[i].seen = true;
    sort(blocks, count, by_key);
    tachyon_error_t error = compare_by_name(ours, blocks, count);
    free(blocks);
    return error;
}

tachyon_error_t ty_types_compare(const char *ours, size_t our_size, const char *theirs,
                                 size_t their_size) {
    struct span here = {ours, our_size}, there = {theirs, their_size};
    take(&here, '\n');
    take(&there, '\n');
    struct span all = there;
    for (size_t compared = 0; here.length > 0; compared++) {
        struct span our_next = here, their_next = there;
        struct block block = take_block(&our_next), other = take_block(&their_next);
        if (there.length == 0 || by_key(&block, &other) != 0)
            return compare_rest(here, all, compared);
        tachyon_error_t error = compare_blocks(&block, &other);
        if (error != TACHYON_SUCCESS)
            return error;
        here = our_next;
        there = their_next;
    }
    return refuse_messages(there);
}

/* ---- Several to one ---- */

/* What C calls it, also as a part of another. */
static struct span called(const struct block *block) {
    struct span rest = block->rest;
    return is_message(block) ? take(&rest, ' ') : block->key;
}

/* As they go out: by rising type id, and what a message holds before it. A decimal number
 * that is longer is larger. */
static int by_message(const void *left, const void *right) {
    const struct block *a = left, *b = right;
    if (a->message.length != b->message.length)
        return a->message.length < b->message.length ? -1 : 1;
    int first = compare(a->message, b->message);
    return first != 0 ? first : (a->word.at > b->word.at) - (a->word.at < b->word.at);
}

static int by_name(const void *left, const void *right) {
    int first = compare(called(left), called(right));
    return first != 0 ? first : by_message(left, right);
}

/* Let each know its message, and leave out what stands before none: the first line of each
 * text, and what is behind its last message. How many stay. */
static size_t group(struct block *blocks, size_t count) {
    size_t kept = 0, first = 0; /* of those that wait for their message */
    for (size_t i = 0; i < count; i++) {
        if (is(blocks[i].word, FIRST_WORD)) {
            kept = first;
            continue;
        }
        blocks[kept++] = blocks[i];
        for (; is_message(&blocks[kept - 1]) && first < kept; first++)
            blocks[first].message = blocks[kept - 1].key;
    }
    return first;
}

/* A struct is the same whether it is a message, too, or not. */
static bool same(const struct block *a, const struct block *b) {
    bool heads = is_message(a) || is_message(b)
                     ? !is(a->word, "enum") && !is(b->word, "enum")
                     : equal(a->word, b->word) && equal(a->rest, b->rest);
    return heads && equal(a->body, b->body);
}

/* Mark what is of a message that another text has had before. */
static tachyon_error_t one_message_each(struct block *blocks, size_t count) {
    const struct block *last = NULL;
    for (size_t i = 0; i < count; i++) {
        struct block *block = &blocks[i];
        block->seen = last && equal(last->key, block->message);
        if (!is_message(block))
            continue;
        if (block->seen && !equal(last->rest, block->rest))
            return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                           "two messages have the type_id %.*s: %.*s and %.*s",
                           QUOTE(block->key), QUOTE(last->rest), QUOTE(block->rest));
        last = block;
    }
    return TACHYON_SUCCESS;
}

/* Mark what has been written when its turn comes. They are sorted by their names. */
static tachyon_error_t one_meaning_each(struct block *blocks, size_t count) {
    bool written = false;
    for (size_t i = 0; i < count; i++) {
        struct block *block = &blocks[i];
        bool again = i > 0 && equal(called(&block[-1]), called(block));
        if (again && !same(&block[-1], block))
            return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                           "two different types are called %.*s", QUOTE(called(block)));
        written = written && again;
        block->seen |= written && !is_message(block);
        written |= !block->seen;
    }
    return TACHYON_SUCCESS;
}

static struct span whole(const struct block *block) {
    const char *end = block->body.at + block->body.length;
    return (struct span){block->word.at, (size_t)(end - block->word.at)};
}

static tachyon_error_t write_unseen(const struct block *blocks, size_t count,
                                    char **merged, size_t *size) {
    size_t needed = strlen(FIRST_LINE), at = needed;
    for (size_t i = 0; i < count; i++)
        needed += blocks[i].seen ? 0 : whole(&blocks[i]).length;
    if (needed > TYPES_MAX_BYTES)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.types has %zu bytes when merged, above %u", needed,
                       TYPES_MAX_BYTES);
    char *text = malloc(needed);
    if (!text)
        return ty_fail_plain(TACHYON_ERR_MEM);
    memcpy(text, FIRST_LINE, at);
    for (size_t i = 0; i < count; i++) {
        struct span block = whole(&blocks[i]);
        if (blocks[i].seen)
            continue;
        memcpy(text + at, block.at, block.length);
        at += block.length;
    }
    *merged = text;
    *size = needed;
    return TACHYON_SUCCESS;
}

static tachyon_error_t merge(struct block *blocks, size_t count, char **merged,
                             size_t *size) {
    count = group(blocks, count);
    sort(blocks, count, by_message);
    tachyon_error_t error = one_message_each(blocks, count);
    if (error != TACHYON_SUCCESS)
        return error;
    sort(blocks, count, by_name);
    error = one_meaning_each(blocks, count);
    if (error != TACHYON_SUCCESS)
        return error;
    sort(blocks, count, by_message);
    return write_unseen(blocks, count, merged, size);
}

/* The first of several texts; it goes. */
static struct span take_text(struct span *texts) {
    static const char next[] = "\n" FIRST_LINE;
    const char *end = memmem(texts->at, texts->length, next, sizeof next - 1);
    struct span text = {texts->at, end ? (size_t)(end - texts->at) + 1 : texts->length};
    texts->at += text.length;
    texts->length -= text.length;
    return text;
}

tachyon_error_t ty_types_merge(const char *texts, size_t size, char **merged,
                               size_t *merged_size, uint64_t *fingerprint) {
    struct span left = {texts, size};
    size_t count = 0;
    *merged = NULL;
    if (size > TYPES_MAX_GIVEN)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "options.types_size is %zu, above %u",
                       size, TYPES_MAX_GIVEN);
    do {
        char what[64] = "options.types";
        struct span text = take_text(&left);
        if (++count > 1 || left.length > 0)
            snprintf(what, sizeof what, "description %zu of options.types", count);
        tachyon_error_t error = ty_types_check(text.at, text.length, what,
                                               TACHYON_ERR_INVALID_SZ, fingerprint);
        if (error != TACHYON_SUCCESS)
            return error;
    } while (left.length > 0);
    if (count == 1)
        return TACHYON_SUCCESS;
    struct block *blocks = blocks_of((struct span){texts, size}, &count);
    if (!blocks)
        return ty_fail_plain(TACHYON_ERR_MEM);
    tachyon_error_t error = merge(blocks, count, merged, merged_size);
    free(blocks);
    if (error == TACHYON_SUCCESS)
        *fingerprint = tachyon_types_fingerprint(*merged, *merged_size);
    return error;
}
