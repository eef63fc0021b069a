/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the module as a whole; comes before all that is in it. */
%begin %{
#define SWIG_TYPE_TABLE tachyon /* the base type is changed, so nobody shares it */
%}

%{
#include "module.c"
%}

%init %{
    int restored = module_restore(m);
    if (restored != 0) { /* the classes in Python are new ones */
        return restored < 0 || message_init() < 0 || batch_module_init() < 0 ? -1 : 0;
    }
%}
