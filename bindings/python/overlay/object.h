/* SPDX-License-Identifier: Apache-2.0 */
/* What each file of the overlay starts from: Python, the object that SWIG's types are
   made of, and the types themselves, which the generated module tells at its import. */
#ifndef TACHYON_PYTHON_OBJECT_H
#define TACHYON_PYTHON_OBJECT_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef SWIG_RUNTIME_VERSION /* the generated module has it in itself */
#define SWIGPYTHON_BUILTIN
#include "swigpyrun.h"
#endif
#include "tachyon.h"

extern struct Types {
    swig_type_info *TachyonBus, *TachyonRpcBus, *BusBase, *RpcBusBase, *ChannelBase;
    swig_type_info *MessageChannelBase;
    swig_type_info *TxGuard, *RxGuard, *RpcTxGuard, *RpcRxGuard;
    swig_type_info *RxBatchGuard, *RxMsgView, *Frame;
} types;

enum {
    FINAL = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    OPEN = FINAL | Py_TPFLAGS_BASETYPE
};

/* A row of a method table; its docstring is in tachyon/_docs.py. */
#define FAST(name, method)                                                             \
    {name, (PyCFunction)(void (*)(void))(method_##method),                             \
     METH_FASTCALL | METH_KEYWORDS, NULL}
#define PLAIN(name, function, flags)                                                   \
    {name, (PyCFunction)(void (*)(void))(function), flags, NULL}

/* A guard is made and dropped once a message, so the last two of a kind are kept for the
   next: two, since `as tx` still holds the old one while the new one is made. The
   interpreter's lock is what protects a pool; a build without one turns it on when it
   imports this module. */
enum { POOL_SIZE = 2 };

typedef struct Pool {
    void *item[POOL_SIZE];
    int count;
} Pool;

static inline PyTypeObject *type_of(const swig_type_info *info) {
    return ((SwigPyClientData *)info->clientdata)->pytype;
}

void *object_allocate(swig_type_info *info);

/* An object whose struct begins with a SwigPyObject; what follows that is not set. One
   from the pool has the rest of it still as it was made. The garbage collector does not
   look at it before it holds something that may hold it. */
static inline void *object_new(Pool *pool, swig_type_info *info) {
    return pool->count > 0 ? PyObject_Init(pool->item[--pool->count], type_of(info))
                           : object_allocate(info);
}

void object_recycle(Pool *pool, void *memory); /* ends tp_dealloc after object_new() */
void object_free(PyObject *object);            /* ends it after tp_alloc */
void pool_empty(Pool *pool);

/* A copy of a plain struct as an object of SWIG's type for it. */
PyObject *struct_object(swig_type_info *info, const void *data, size_t size);
PyObject *struct_list(swig_type_info *info, const void *data, size_t size,
                      size_t count);

int add_methods(swig_type_info *info, PyMethodDef *methods);
PyObject *import_from(const char *module, const char *name);

/* What is slow anyway is written in Python, in tachyon.arguments mostly. */
PyObject *ask(const char *function, const char *format, ...);

#endif
