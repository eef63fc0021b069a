/* SPDX-License-Identifier: Apache-2.0 */
/* tachyon._native, before it is built on the neutral interface. */
%module(package="tachyon") _native

%{
#include "tachyon.h"
%}

%include <stdint.i>
%include "python.i"
%include "tachyon.h"

%init %{
    if (module_finish(m) < 0) {
        return -1;
    }
%}
