/* SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2 /* older headers do not name it */
#define SYS_fchmodat2 452
#endif

#include "allowed.h" /* made from docs/SYSCALLS.md */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define MOST 512
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct sock_filter program[MOST];
static size_t length;

static void add(struct sock_filter instruction) {
    program[length++] = instruction;
}

static void allow(const int *calls, size_t count) {
    for (size_t i = 0; i < count && length + 3 < MOST; i++) {
        add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
                                         0, 1));
        add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
}

bool filter_install(enum filter filter) {
#ifdef ARCHITECTURE
    length = 0;
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                     offsetof(struct seccomp_data, arch)));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                     offsetof(struct seccomp_data, nr)));
    allow(allowed_CORE, COUNT(allowed_CORE));
    allow(allowed_LIBRARY, COUNT(allowed_LIBRARY));
    if (filter == FILTER_TESTS)
        allow(allowed_TESTS, COUNT(allowed_TESTS));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    struct sock_fprog filter_program = {.len = (unsigned short)length,
                                        .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter_program) == 0;
#else
    (void)filter;
    return false;
#endif
}
