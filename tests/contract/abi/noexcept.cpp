// SPDX-License-Identifier: Apache-2.0
// In C++ no function of the header throws, as its type says. FUNCTIONS is made of the
// header; this file is compiled only.
extern "C" { // as programs from the time of C headers do it
#include "tachyon.h"
}

template <class Result, class... Arguments>
constexpr bool never_throws(Result (*)(Arguments...) noexcept) {
    return true;
}
template <class Result, class... Arguments>
constexpr bool never_throws(Result (*)(Arguments...)) {
    return false;
}

int throws();
static_assert(!never_throws(throws));
#define NEVER_THROWS(function) static_assert(never_throws(function), #function);
FUNCTIONS(NEVER_THROWS)
