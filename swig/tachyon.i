/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon for SWIG: what all target languages share. A typemap or feature has to stand
   before the declaration it applies to, so a language's own file comes first. */
#ifdef SWIGPYTHON
%module(package="tachyon") _native
#else
%module tachyon
#endif

%{
#include "tachyon.h"
%}

%include <stdint.i>

#ifdef SWIGPYTHON
%include "python/python.i"
#endif

%include "tachyon.h"

#ifdef SWIGPYTHON
%init %{
    if (module_finish(m) < 0) {
        return -1;
    }
%}
#endif
