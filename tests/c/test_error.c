/* SPDX-License-Identifier: Apache-2.0 */
/* error.c: the texts of errors, and to whom the last one belongs. */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- What is recorded ---- */

TEST(a_failure_is_kept_with_its_cause_and_value) {
    CHECK_EQ(ty_fail(TACHYON_ERR_OPEN, EMFILE, "cannot open %d of %s", 3, "them"),
             TACHYON_ERR_OPEN);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_OPEN);
    CHECK_EQ(tachyon_last_errno(), EMFILE);
    char expected[128];
    snprintf(expected, sizeof expected, "cannot open 3 of them: %s", strerror(EMFILE));
    CHECK_EQ(strcmp(tachyon_last_error_message(), expected), 0);

    CHECK_EQ(ty_fail(TACHYON_ERR_BUSY, 0, "taken"), TACHYON_ERR_BUSY);
    CHECK_EQ(tachyon_last_errno(), 0);
    CHECK_EQ(strcmp(tachyon_last_error_message(), "taken"), 0);
}

TEST(a_plain_failure_has_the_text_of_the_table_and_nothing_of_the_last) {
    ty_fail(TACHYON_ERR_OPEN, EMFILE, "before");
    CHECK_EQ(ty_fail_plain(TACHYON_ERR_FULL), TACHYON_ERR_FULL);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    CHECK_EQ(tachyon_last_errno(), 0);
    CHECK(tachyon_last_error_message() == tachyon_strerror(TACHYON_ERR_FULL));
}

TEST(what_a_failure_is_about_is_said_once) {
    ty_fail(TACHYON_ERR_NETWORK, 0, "refused");
    CHECK_EQ(ty_fail_about(TACHYON_ERR_NETWORK, "/a/path"), TACHYON_ERR_NETWORK);
    CHECK_EQ(strcmp(tachyon_last_error_message(), "refused (/a/path)"), 0);
    ty_fail_about(TACHYON_ERR_NETWORK, "/a/path");
    CHECK_EQ(strcmp(tachyon_last_error_message(), "refused (/a/path)"), 0);
    ty_fail_plain(TACHYON_ERR_INTERRUPTED); /* whose text is not in the buffer */
    ty_fail_about(TACHYON_ERR_INTERRUPTED, "/a/path");
    CHECK_EQ(
        strcmp(tachyon_last_error_message(), "interrupted while waiting (/a/path)"), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INTERRUPTED);
}

/* For every length of the text: it is cut, and ends. */
TEST(a_text_that_is_too_long_is_cut) {
    char word[600];
    for (size_t length = 0; length < sizeof word; length++) {
        memset(word, 'w', length);
        word[length] = '\0';
        ty_fail(TACHYON_ERR_NETWORK, ENOENT, "%s", word);
        size_t got = strlen(tachyon_last_error_message());
        CHECK_IN(got, length < 300 ? length : 300, 400);
        CHECK_EQ(
            memcmp(tachyon_last_error_message(), word, length < got ? length : got), 0);
        if (length < 300)
            CHECK_SAYS(strerror(ENOENT));
        ty_fail_about(TACHYON_ERR_NETWORK, "/a/path/of/some/length");
        CHECK_IN(strlen(tachyon_last_error_message()), got, 400);
        if (length < 300)
            CHECK_SAYS("(/a/path/of/some/length)");
        CHECK_EQ(tachyon_last_errno(), ENOENT);
    }
}

/* ---- What is told ---- */

TEST(every_error_has_a_text_of_its_own) {
    for (int i = 0; i <= TACHYON_ERR_LAGGED; i++) {
        const char *text = tachyon_strerror((tachyon_error_t)i);
        CHECK(text && strlen(text) > 3);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(text, tachyon_strerror((tachyon_error_t)j)) != 0);
    }
    CHECK(strcmp(tachyon_strerror((tachyon_error_t)25), "unknown error") == 0);
    CHECK(strcmp(tachyon_strerror((tachyon_error_t)-1), "unknown error") == 0);
    CHECK(strcmp(tachyon_version(), "1.0.0") == 0);
}

static void *fails_elsewhere(void *context) {
    CHECK_EQ(tachyon_last_error(), TACHYON_SUCCESS);
    CHECK_EQ(tachyon_last_errno(), 0);
    CHECK_REFUSED(tachyon_acquire_tx(NULL, 1), TACHYON_ERR_NULL_PTR);
    return context;
}

TEST(the_last_error_belongs_to_its_thread) {
    tachyon_bus_t *bus;
    CHECK_EQ(tachyon_last_error(), TACHYON_SUCCESS);
    CHECK_ERROR(tachyon_bus_connect(test_path("nobody"), &bus), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    test_join(test_thread(fails_elsewhere, NULL));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_NETWORK);
    CHECK_EQ(tachyon_last_errno(), ENOENT);
    CHECK_SAYS(test_path("nobody"));
    CHECK_SAYS(strerror(ENOENT));
}

TEST(an_error_without_a_system_call_has_no_errno) {
    tachyon_bus_t *bus;
    CHECK_ERROR(tachyon_bus_connect(test_path("nobody"), &bus), TACHYON_ERR_NETWORK);
    CHECK(tachyon_last_errno() != 0);
    CHECK_ERROR(tachyon_bus_listen(test_path("x"), 5, &bus), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_last_errno(), 0);
}

TEST(every_error_has_its_name_and_its_kind) {
#define ROW(error, kind) {TACHYON_##error, "TACHYON_" #error, TACHYON_KIND_##kind}
    static const struct {
        tachyon_error_t error;
        const char *name;
        tachyon_error_kind_t kind;
    } rows[] = {
        ROW(SUCCESS, NONE),
        ROW(ERR_NULL_PTR, ARGUMENT),
        ROW(ERR_MEM, MEMORY),
        ROW(ERR_OPEN, SYSTEM),
        ROW(ERR_TRUNCATE, SYSTEM),
        ROW(ERR_CHMOD, PERMISSION),
        ROW(ERR_SEAL, PERMISSION),
        ROW(ERR_MAP, SYSTEM),
        ROW(ERR_INVALID_SZ, ARGUMENT),
        ROW(ERR_FULL, WOULD_BLOCK),
        ROW(ERR_EMPTY, WOULD_BLOCK),
        ROW(ERR_NETWORK, CONNECTION),
        ROW(ERR_SYSTEM, SYSTEM),
        ROW(ERR_INTERRUPTED, INTERRUPTED),
        ROW(ERR_ABI_MISMATCH, CONNECTION),
        ROW(ERR_PEER_DEAD, PEER_DEAD),
        ROW(ERR_CLOSED, CLOSED),
        ROW(ERR_TIMEOUT, TIMEOUT),
        ROW(ERR_BUSY, STATE),
        ROW(ERR_CORRUPT, CORRUPT),
        ROW(ERR_ADDR_IN_USE, CONNECTION),
        ROW(ERR_PERMISSION, PERMISSION),
        ROW(ERR_FORKED, STATE),
        ROW(ERR_ABORTED, ABORTED),
        ROW(ERR_LAGGED, ABORTED),
    };
#undef ROW
    CHECK_EQ(sizeof rows / sizeof rows[0], TACHYON_ERR_LAGGED + 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_EQ(rows[i].error, i);
        CHECK_EQ(strcmp(tachyon_error_name(rows[i].error), rows[i].name), 0);
        CHECK_EQ(tachyon_error_kind(rows[i].error), rows[i].kind);
    }
    static const int none[] = {-1, TACHYON_ERR_LAGGED + 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        CHECK_EQ(strcmp(tachyon_error_name((tachyon_error_t)none[i]), "unknown"), 0);
        CHECK_EQ(tachyon_error_kind((tachyon_error_t)none[i]), TACHYON_KIND_SYSTEM);
    }
}
