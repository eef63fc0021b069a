/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the extension made by hand share. */
#ifndef HANDMADE_H
#define HANDMADE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "tachyon.h"

enum { SPARE_GUARDS = 2, SPINS = 10000 };

typedef struct Guard Guard;

typedef struct Bus {
    PyObject ob_base;
    tachyon_bus_t *handle;      /* NULL: closed */
    Guard *guard;               /* open, or held by a view; borrowed */
    bool waiting;               /* a thread is in the core without the GIL */
    int spares;                 /* two: `as tx` keeps the last while the next is made */
    Guard *spare[SPARE_GUARDS]; /* their memory */
} Bus;

extern PyTypeObject Bus_Type;
extern PyMethodDef loop_methods[];

void *raise_last(void);
bool may_use(const Bus *bus);

#endif
