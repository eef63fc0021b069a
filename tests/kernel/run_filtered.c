/* SPDX-License-Identifier: Apache-2.0 */
/* run_filtered PROGRAM ARGUMENT...: with all tables of docs/SYSCALLS.md allowed. */
#include "filter.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    if (!filter_install(FILTER_TESTS)) {
        printf("no seccomp filters on this machine\n");
        return 77;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
