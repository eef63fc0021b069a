/* SPDX-License-Identifier: Apache-2.0 */
/* DLPack: any object with a buffer of bytes as a one-dimensional uint8 tensor, without
   a copy. The structs are those of dlpack.h; consumers that know version 1 get the one
   that can say "read-only". */

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

enum { DL_CPU = 1, DL_UINT = 1, DL_READ_ONLY = 1 };

/* One allocation for either form and what keeps the memory alive. */
typedef struct Export {
    union {
        DLManagedTensor legacy;
        DLManagedTensorVersioned versioned;
    } as;
    int64_t shape;
    int64_t stride;
    Py_buffer view;
} Export;

static void export_free(Export *export) {
    PyGILState_STATE state = PyGILState_Ensure(); /* a consumer may not hold the lock */
    PyBuffer_Release(&export->view);
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

static PyObject *export_capsule(PyObject *exporter, bool versioned) {
    Export *export = PyMem_Calloc(1, sizeof *export);
    if (!export) {
        return PyErr_NoMemory();
    }
    if (PyObject_GetBuffer(exporter, &export->view, PyBUF_SIMPLE) < 0) {
        PyMem_Free(export);
        return NULL;
    }
    export->shape = export->view.len;
    export->stride = 1;
    DLTensor tensor = {
        .data = export->view.buf,
        .device_type = DL_CPU,
        .ndim = 1,
        .dtype_code = DL_UINT,
        .dtype_bits = 8,
        .dtype_lanes = 1,
        .shape = &export->shape,
        .strides = &export->stride,
    };
    if (versioned) {
        export->as.versioned = (DLManagedTensorVersioned){.major = 1,
                                                          .context = export,
                                                          .deleter = delete_versioned,
                                                          .flags = DL_READ_ONLY,
                                                          .tensor = tensor};
    } else {
        export->as.legacy = (DLManagedTensor){
            .tensor = tensor, .context = export, .deleter = delete_legacy};
    }
    PyObject *capsule = PyCapsule_New(
        &export->as, versioned ? "dltensor_versioned" : "dltensor", capsule_destroy);
    if (!capsule) {
        export_free(export);
    }
    return capsule;
}

static Signature dlpack_signature = {
    "__dlpack__", 0, 4, {"stream", "max_version", "dl_device", "copy"}, {NULL}, 4};

static PyObject *dlpack_export(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames) {
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    if (bind_arguments(&dlpack_signature, args, nargs, kwnames, bound) < 0) {
        return NULL;
    }
    PyObject *stream = bound[0], *max_version = bound[1], *device = bound[2];
    PyObject *copy = bound[3];
    int device_type = DL_CPU, device_id = 0;
    if (stream && stream != Py_None) {
        PyErr_SetString(PyExc_BufferError,
                        "a message lies in memory that has no streams");
        return NULL;
    }
    if (device && device != Py_None &&
        !PyArg_ParseTuple(device, "ii;dl_device", &device_type, &device_id)) {
        return NULL;
    }
    if (device_type != DL_CPU || device_id != 0) {
        PyErr_SetString(PyExc_BufferError,
                        "a message lies in the CPU's memory, (1, 0)");
        return NULL;
    }
    if (copy == Py_True) {
        PyErr_SetString(PyExc_BufferError, "a message is exported without a copy only");
        return NULL;
    }
    long major = 0;
    if (max_version && PyTuple_Check(max_version) &&
        PyTuple_GET_SIZE(max_version) > 0) {
        major = PyLong_AsLong(PyTuple_GET_ITEM(max_version, 0));
        if (major == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    return export_capsule(self, major >= 1);
}

static PyObject *dlpack_device(PyObject *self, PyObject *unused) {
    (void)self;
    (void)unused;
    return Py_BuildValue("ii", DL_CPU, 0);
}
