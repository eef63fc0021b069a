/* SPDX-License-Identifier: Apache-2.0 */
/* DLPack: a message as a one-dimensional uint8 tensor, a frame as what it is, without a
   copy; and tensors of others to be sent. The structs are those of dlpack.h; consumers
   that know version 1 get the one that can say "read-only". */

#include "frame.h"
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
    int64_t shape[TACHYON_FRAME_MAX_NDIM];
    int64_t strides[TACHYON_FRAME_MAX_NDIM]; /* in items */
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

/* The tensor of `exporter`'s bytes, of that layout. */
static PyObject *export_capsule(PyObject *exporter, const ArrayLayout *layout,
                                bool versioned, bool copy) {
    Export *export = PyMem_Calloc(1, sizeof *export);
    if (!export)
        return PyErr_NoMemory();
    if (PyObject_GetBuffer(exporter, &export->view, PyBUF_STRIDES) < 0) {
        PyMem_Free(export);
        return NULL;
    }
    bool readonly = export->view.readonly;
    if (copy && export_copy(export) < 0) {
        export_free(export);
        return NULL;
    }
    for (int i = 0; i < layout->ndim; ++i) {
        export->shape[i] = layout->shape[i];
        export->strides[i] = layout->strides[i] / (layout->kind->bits / 8);
    }
    DLTensor tensor = {
        .data = copy ? export->copy : export->view.buf,
        .device_type = DL_CPU,
        .ndim = layout->ndim,
        .dtype_code = layout->kind->code,
        .dtype_bits = layout->kind->bits,
        .dtype_lanes = 1,
        .shape = export->shape,
        .strides = export->strides,
    };
    if (versioned) {
        export->as.versioned =
            (DLManagedTensorVersioned){.major = 1,
                                       .context = export,
                                       .deleter = delete_versioned,
                                       .flags = copy       ? DL_COPIED
                                                : readonly ? DL_READ_ONLY
                                                           : 0,
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

/* What of a request is wanted: `rule`, in tachyon.arguments, says what may be. */
static int parse_request(const char *rule, PyObject **bound, int *versioned,
                         int *copy) {
    for (int i = 0; i < 4; ++i)
        bound[i] = bound[i] ? bound[i] : Py_None;
    PyObject *answer = ask(rule, "(OOOO)", bound[0], bound[1], bound[2], bound[3]);
    bool granted = answer && PyArg_ParseTuple(answer, "pp", versioned, copy);
    Py_XDECREF(answer);
    return granted ? 0 : -1;
}

METHOD(dlpack) {
    BIND("__dlpack__", 0, 4, 4, {"stream", "max_version", "dl_device", "copy"});
    int versioned, copy;
    if (parse_request("dlpack_request", bound, &versioned, &copy) < 0)
        return NULL;
    ArrayLayout bytes = {.kind = kind_of(TACHYON_FRAME_UINT, 8),
                         .ndim = 1,
                         .shape = {(Py_ssize_t)((RxMsgView *)self)->actual_size},
                         .strides = {1}};
    return export_capsule(self, &bytes, versioned, copy);
}

METHOD(frame_dlpack) {
    BIND("__dlpack__", 0, 4, 4, {"stream", "max_version", "dl_device", "copy"});
    int versioned, copy;
    return parse_request("dlpack_request_of_frame", bound, &versioned, &copy) < 0
               ? NULL
               : export_capsule(self, &((Frame *)self)->layout, versioned, copy);
}

PyObject *dlpack_device(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return Py_BuildValue("ii", DL_CPU, 0);
}

/* ---- Tensors of others ---- */

static const DLTensor *tensor_in(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor"))
        return &((DLManagedTensor *)PyCapsule_GetPointer(capsule, "dltensor"))->tensor;
    const DLManagedTensorVersioned *versioned =
        PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (versioned && versioned->major != 1) {
        PyErr_Format(PyExc_BufferError,
                     "the tensor comes by DLPack %u, 1 is known here",
                     versioned->major);
        return NULL;
    }
    return versioned ? &versioned->tensor : NULL;
}

static bool is_readonly(PyObject *capsule) {
    return PyCapsule_IsValid(capsule, "dltensor_versioned") &&
           (((DLManagedTensorVersioned *)PyCapsule_GetPointer(capsule,
                                                              "dltensor_versioned"))
                ->flags &
            DL_READ_ONLY);
}

static int check_tensor(const DLTensor *tensor, const ItemKind *kind) {
    if (tensor->device_type != DL_CPU)
        PyErr_Format(PyExc_BufferError,
                     "the tensor lies on a device of type %d, not in the CPU's memory: "
                     "send a copy there, such as tensor.cpu()",
                     tensor->device_type);
    else if (!kind || tensor->dtype_lanes != 1)
        PyErr_Format(PyExc_TypeError,
                     "a frame has no items of DLPack's code %d with %d bits and %d "
                     "lanes: send a view as integers of the same size",
                     tensor->dtype_code, tensor->dtype_bits, tensor->dtype_lanes);
    else if (tensor->ndim < 0 || tensor->ndim > TACHYON_FRAME_MAX_NDIM)
        raise_dimensions(tensor->ndim);
    else
        return 0;
    return -1;
}

int tensor_get(PyObject *capsule, Strided *array) {
    const DLTensor *tensor = tensor_in(capsule);
    if (!tensor)
        return -1;
    ArrayLayout *layout = &array->layout;
    layout->kind = kind_of(tensor->dtype_code, tensor->dtype_bits);
    if (check_tensor(tensor, layout->kind) < 0)
        return -1;
    layout->ndim = tensor->ndim;
    for (int i = 0; i < layout->ndim; ++i)
        layout->shape[i] = (Py_ssize_t)tensor->shape[i];
    make_dense(layout, false);
    for (int i = 0; tensor->strides && i < layout->ndim; ++i)
        layout->strides[i] = (Py_ssize_t)tensor->strides[i] * (layout->kind->bits / 8);
    array->data = (char *)tensor->data + tensor->byte_offset;
    array->readonly = is_readonly(capsule);
    return 0;
}
