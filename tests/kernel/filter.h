/* SPDX-License-Identifier: Apache-2.0 */
/* Seccomp filters from the tables of docs/SYSCALLS.md. */
#ifndef TACHYON_SECCOMP_FILTER_H
#define TACHYON_SECCOMP_FILTER_H

#include <stdbool.h>

enum filter { FILTER_CORE, FILTER_TESTS };

/* From now on any other system call kills this process. False: no seccomp here. */
bool filter_install(enum filter filter);

#endif
