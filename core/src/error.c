/* SPDX-License-Identifier: Apache-2.0 */
/* The last error of each thread, and the one table of errors. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT(text) #text
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

static _Thread_local struct {
    tachyon_error_t error;
    int system;
    char text[384]; /* empty: the table's text */
} last;

#define ROW(error, kind, text)                                                         \
    [TACHYON_##error] = {"TACHYON_" #error, text, TACHYON_KIND_##kind}

static const struct {
    const char *name, *text;
    tachyon_error_kind_t kind;
} errors[] = {
    ROW(SUCCESS, NONE, "success"),
    ROW(ERR_NULL_PTR, ARGUMENT, "a required pointer is NULL"),
    ROW(ERR_MEM, MEMORY, "out of memory"),
    ROW(ERR_OPEN, SYSTEM, "cannot create the shared memory"),
    ROW(ERR_TRUNCATE, SYSTEM, "cannot size the shared memory"),
    ROW(ERR_CHMOD, PERMISSION, "cannot set the mode of the socket"),
    ROW(ERR_SEAL, PERMISSION, "the shared memory is not sealed"),
    ROW(ERR_MAP, SYSTEM, "cannot map the shared memory"),
    ROW(ERR_INVALID_SZ, ARGUMENT, "an argument is out of range"),
    ROW(ERR_FULL, WOULD_BLOCK, "the ring is full"),
    ROW(ERR_EMPTY, WOULD_BLOCK, "the ring is empty"),
    ROW(ERR_NETWORK, CONNECTION, "nobody listens, or the socket failed"),
    ROW(ERR_SYSTEM, SYSTEM, "a system call failed"),
    ROW(ERR_INTERRUPTED, INTERRUPTED, "interrupted while waiting"),
    ROW(ERR_ABI_MISMATCH, CONNECTION, "the peer speaks another protocol"),
    ROW(ERR_PEER_DEAD, PEER_DEAD, "the peer died without closing"),
    ROW(ERR_CLOSED, CLOSED, "the stream has ended"),
    ROW(ERR_TIMEOUT, TIMEOUT, "timed out"),
    ROW(ERR_BUSY, STATE, "in use by another thread or by the peer"),
    ROW(ERR_CORRUPT, CORRUPT, "the peer wrote an impossible value into the ring"),
    ROW(ERR_ADDR_IN_USE, CONNECTION, "the address is in use"),
    ROW(ERR_PERMISSION, PERMISSION, "permission denied"),
    ROW(ERR_FORKED, STATE, "the handle belongs to the parent process"),
    ROW(ERR_ABORTED, ABORTED, "the peer gave up in the middle"),
    ROW(ERR_LAGGED, ABORTED, "what was to be read next may be overwritten"),
};

static bool is_error(tachyon_error_t error) {
    return (size_t)error < sizeof errors / sizeof errors[0];
}

tachyon_error_t ty_fail(tachyon_error_t error, int system, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(last.text, sizeof last.text, format, arguments);
    va_end(arguments);
    if (system != 0 && length >= 0 && (size_t)length < sizeof last.text) {
        errno = system; /* %m: strerror() may be one buffer for all threads */
        snprintf(last.text + length, sizeof last.text - (size_t)length, ": %m");
    }
    last.error = error;
    last.system = system;
    return error;
}

tachyon_error_t ty_fail_about(tachyon_error_t error, const char *subject) {
    size_t length = strlen(tachyon_last_error_message());
    if (!strstr(tachyon_last_error_message(), subject)) {
        if (last.text[0] == '\0') /* the text was the table's */
            memcpy(last.text, tachyon_strerror(error), length + 1);
        snprintf(last.text + length, sizeof last.text - length, " (%s)", subject);
    }
    return error;
}

tachyon_error_t ty_fail_plain(tachyon_error_t error) {
    last.error = error;
    last.system = 0;
    last.text[0] = '\0';
    return error;
}

tachyon_error_t ty_fail_null(const char *argument) {
    return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", argument);
}

tachyon_error_t tachyon_last_error(void) {
    return last.error;
}

int tachyon_last_errno(void) {
    return last.system;
}

const char *tachyon_last_error_message(void) {
    return last.text[0] ? last.text : tachyon_strerror(last.error);
}

const char *tachyon_strerror(tachyon_error_t error) {
    return is_error(error) ? errors[error].text : "unknown error";
}

const char *tachyon_error_name(tachyon_error_t error) {
    return is_error(error) ? errors[error].name : "unknown";
}

tachyon_error_kind_t tachyon_error_kind(tachyon_error_t error) {
    return is_error(error) ? errors[error].kind : TACHYON_KIND_SYSTEM;
}

const char *tachyon_version(void) {
    return VERSION(TACHYON_VERSION_MAJOR, TACHYON_VERSION_MINOR, TACHYON_VERSION_PATCH);
}
