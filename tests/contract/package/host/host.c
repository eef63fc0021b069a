/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#ifdef TACHYON
#include <tachyon.h>
#endif

int main(void) {
#ifdef TACHYON
    return puts(tachyon_version()) < 0;
#else
    assert(!"a check of the project's own");
    return 0;
#endif
}
