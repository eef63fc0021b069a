/* SPDX-License-Identifier: Apache-2.0 */
/* DLPack: any object with a buffer of bytes as a one-dimensional uint8 tensor, without
   a copy. The structs are those of dlpack.h; consumers that know version 1 get the one
   that can say "read-only". */

#include "slots.h"

#include <stdlib.h>

typedef struct DLTensor {
    void *data;
    int32_t device_type;
    int32_t device_id;
    int32_t ndim;
    uint8_t dtype_code;
    uint8_t dtype_bits;
    uint16_t dtype_lanes;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
    DLTensor tensor;
    void *context;
    void (*deleter)(struct DLManagedTensor *);
} DLManagedTensor;

typedef struct DLManagedTensorVersioned {
    uint32_t major;
    uint32_t minor;
    void *context;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    DLTensor tensor;
} DLManagedTensorVersioned;

enum { DL_CPU = 1, DL_UINT = 1, DL_READ_ONLY = 1, DL_COPIED = 2, DL_ALIGNMENT = 64 };

/* One allocation for either form and what keeps the memory alive. */
typedef struct Export {
    union {
        DLManagedTensor legacy;
        DLManagedTensorVersioned versioned;
    } as;
    int64_t shape;
    int64_t stride;
    Py_buffer view;
    void *copy; /* instead of the view, which is then released */
} Export;

static void export_free(Export *export) {
    PyGILState_STATE state = PyGILState_Ensure(); /* a consumer may not hold the lock */
    PyBuffer_Release(&export->view);              /* none of a copy: no harm */
    free(export->copy);
    PyMem_Free(export);
    PyGILState_Release(state);
}

static void delete_legacy(DLManagedTensor *tensor) {
    export_free(tensor->context);
}

static void delete_versioned(DLManagedTensorVersioned *tensor) {
    export_free(tensor->context);
}

/* A consumer that takes the tensor over renames the capsule. */
static void capsule_destroy(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor")) {
        DLManagedTensor *tensor = PyCapsule_GetPointer(capsule, "dltensor");
        tensor->deleter(tensor);
    } else if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        DLManagedTensorVersioned *tensor =
            PyCapsule_GetPointer(capsule, "dltensor_versioned");
        tensor->deleter(tensor);
    }
}

/* Memory of its own for an export, which then holds nobody else's. */
static int export_copy(Export *export) {
    size_t size = (size_t)export->view.len;
    export->copy =
        aligned_alloc(DL_ALIGNMENT, (size / DL_ALIGNMENT + 1) * DL_ALIGNMENT);
    if (!export->copy) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(export->copy, export->view.buf, size);
    PyBuffer_Release(&export->view);
    return 0;
}

static PyObject *export_capsule(PyObject *exporter, bool versioned, bool copy) {
    Export *export = PyMem_Calloc(1, sizeof *export);
    if (!export)
        return PyErr_NoMemory();
    if (PyObject_GetBuffer(exporter, &export->view, PyBUF_SIMPLE) < 0) {
        PyMem_Free(export);
        return NULL;
    }
    export->shape = export->view.len;
    export->stride = 1;
    if (copy && export_copy(export) < 0) {
        export_free(export);
        return NULL;
    }
    DLTensor tensor = {
        .data = copy ? export->copy : export->view.buf,
        .device_type = DL_CPU,
        .ndim = 1,
        .dtype_code = DL_UINT,
        .dtype_bits = 8,
        .dtype_lanes = 1,
        .shape = &export->shape,
        .strides = &export->stride,
    };
    if (versioned) {
        export->as.versioned =
            (DLManagedTensorVersioned){.major = 1,
                                       .context = export,
                                       .deleter = delete_versioned,
                                       .flags = copy ? DL_COPIED : DL_READ_ONLY,
                                       .tensor = tensor};
    } else {
        export->as.legacy = (DLManagedTensor){
            .tensor = tensor, .context = export, .deleter = delete_legacy};
    }
    PyObject *capsule = PyCapsule_New(
        &export->as, versioned ? "dltensor_versioned" : "dltensor", capsule_destroy);
    if (!capsule)
        export_free(export);
    return capsule;
}

METHOD(dlpack) {
    BIND("__dlpack__", 0, 4, 4, {"stream", "max_version", "dl_device", "copy"});
    int versioned, copy;
    for (int i = 0; i < 4; ++i)
        bound[i] = bound[i] ? bound[i] : Py_None;
    PyObject *answer =
        ask("dlpack_request", "(OOOO)", bound[0], bound[1], bound[2], bound[3]);
    bool granted = answer && PyArg_ParseTuple(answer, "pp", &versioned, &copy);
    Py_XDECREF(answer);
    return granted ? export_capsule(self, versioned, copy) : NULL;
}

PyObject *dlpack_device(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return Py_BuildValue("ii", DL_CPU, 0);
}
