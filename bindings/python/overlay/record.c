/* SPDX-License-Identifier: Apache-2.0 */
/* The object with a message's bytes, and what all of them can do. */
#include "record.h"

#include "slots.h"

PyTypeObject *Record_Type;
static PyTypeObject *Layout_Type;
static PyObject *layout_name; /* "__layout__", interned */

/* Records up to this are kept for the next ones. */
enum { POOLED_BYTES = 4096 };

unsigned char *record_raise_left(void) {
    PyErr_SetString(TachyonError,
                    "this message was left: its slot is gone, sent or given back");
    return NULL;
}

/* ---- Memory ---- */

static Pool *pool_of(Layout *layout, Py_ssize_t bytes) {
    return bytes > 0 ? &layout->copies : &layout->others;
}

/* Without a collection, whose finalizers may close the bus: callers have a pointer into
   its memory. */
static Record *allocate(PyTypeObject *type, Py_ssize_t bytes) {
    int collects = PyGC_Disable();
    Record *record = PyObject_GC_NewVar(Record, type, bytes);
    if (collects)
        PyGC_Enable();
    return record;
}

Record *record_allocate(PyTypeObject *type, Layout *layout, RecordKind kind) {
    Py_ssize_t bytes = kind == RECORD_COPY ? layout->size : 0;
    Pool *pool = pool_of(layout, bytes);
    Record *record =
        pool->count > 0
            ? (Record *)(void *)PyObject_InitVar(pool->item[--pool->count], type, bytes)
            : allocate(type, bytes);
    if (record) {
        record->data = kind == RECORD_COPY ? record->copy : NULL;
        record->size = layout->size;
        record->layout = (Layout *)Py_NewRef((PyObject *)layout);
        record->owner = NULL;
        record->kind = kind;
    }
    return record;
}

PyObject *record_hold(const Record *record, bool *is_guard) {
    *is_guard = record->kind == RECORD_GUARD || record->kind == RECORD_VIEW;
    if (*is_guard)
        ++((Guard *)record->owner)->views;
    return Py_NewRef(record->kind == RECORD_COPY ? (PyObject *)(uintptr_t)record
                                                 : record->owner);
}

void record_let_go(PyObject *holder, bool is_guard) {
    if (is_guard)
        guard_release_view((Guard *)holder);
    Py_DECREF(holder);
}

static void record_dealloc(PyObject *self) {
    Record *record = (Record *)self;
    PyTypeObject *type = Py_TYPE(self);
    Layout *layout = record->layout;
    PyObject *owner = record->owner;
    bool is_view = record->kind == RECORD_VIEW;
    Pool *pool = pool_of(layout, Py_SIZE(self));
    bool pooled = pool->count < POOL_SIZE && Py_SIZE(self) <= POOLED_BYTES;
    if (type->tp_dealloc != record_dealloc) { /* what Python does for classes */
        PyObject_GC_UnTrack(self);            /* tracks it, and notes in its memory */
        pooled &= !PyObject_GC_IsFinalized(self); /* for good that __del__ has run */
    }
    if (pooled)
        pool->item[pool->count++] = record;
    else
        PyObject_GC_Del(record);
    if (is_view && owner)
        --((Guard *)owner)->parts;
    if (owner)
        record_let_go(owner, is_view);
    Py_DECREF(layout);
    Py_DECREF(type);
}

static int record_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Record *)self)->layout);
    Py_VISIT(((Record *)self)->owner);
    return 0;
}

/* Not by the class's own class, which is free to do anything, and to give a layout that
   nobody else has. */
Layout *layout_of(PyObject *cls) {
    bool is_ours = PyType_Check(cls) &&
                   PyType_IsSubtype((PyTypeObject *)cls, Record_Type) &&
                   ((PyTypeObject *)cls)->tp_basicsize == sizeof(Record);
    PyObject *layout =
        is_ours ? _PyType_Lookup((PyTypeObject *)cls, layout_name) : NULL;
    if (layout && Py_IS_TYPE(layout, Layout_Type))
        return (Layout *)layout; /* the class has it */
    PyErr_Format(PyExc_TypeError, "%.100R is no class of messages", cls);
    return NULL;
}

/* ---- Making them ---- */

/* What a smaller message does not have whole is zero. */
void record_take(Record *record, const void *data, size_t size) {
    const Layout *layout = record->layout;
    unsigned char *to = record->data;
    if (size >= (size_t)layout->size) {
        memcpy(to, data, (size_t)layout->size);
        return;
    }
    memcpy(to, data, size);
    memset(to + size, 0, (size_t)layout->size - size);
    for (Py_ssize_t i = 0; i < field_count(layout); ++i) {
        const Field *field = field_at(layout, i);
        if ((size_t)(field->offset + field->size) > size)
            memset(to + field->offset, 0, (size_t)field->size);
    }
}

PyObject *record_from(PyObject *cls, PyObject *data) {
    Py_buffer view; /* first: what gives it may do anything, also to the class */
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Layout *layout = layout_of(cls);
    Record *record = NULL;
    bool fits = layout && view.len >= layout->smallest &&
                (layout->grows || view.len <= layout->size);
    if (layout && !fits)
        PyErr_Format(PyExc_ValueError, "%s is %zd bytes%s, not %zd",
                     ((PyTypeObject *)cls)->tp_name, layout->smallest,
                     layout->grows ? " or more" : "", view.len);
    else if (fits)
        record = record_allocate((PyTypeObject *)cls, layout, RECORD_COPY);
    if (record)
        record_take(record, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return (PyObject *)record;
}

PyObject *record_in_slot(PyTypeObject *type, Layout *layout, TxGuard *tx) {
    Record *record = record_allocate(type, layout, RECORD_GUARD);
    if (!record) {
        Py_DECREF(tx);
        return NULL;
    }
    record->data = (unsigned char *)(uintptr_t)tx->guard.data;
    record->owner = (PyObject *)tx;
    memset(record->data, 0, (size_t)layout->size);
    return (PyObject *)record;
}

/* A call with a tuple and a dictionary as one with names. */
static PyObject *record_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Layout *layout = layout_of((PyObject *)type);
    if (!layout)
        return NULL;
    Py_ssize_t nargs = PyTuple_GET_SIZE(args), at = 0, k = 0;
    Py_ssize_t keywords = kwargs ? PyDict_GET_SIZE(kwargs) : 0;
    Record *record = record_allocate(type, layout, RECORD_COPY);
    PyObject *kwnames = PyTuple_New(keywords);
    PyObject **values =
        (PyObject **)PyMem_Malloc((size_t)(nargs + keywords + 1) * sizeof *values);
    int filled = -1;
    if (!values) {
        PyErr_NoMemory();
    } else if (record && kwnames) {
        PyObject *name, *value;
        for (Py_ssize_t i = 0; i < nargs; ++i)
            values[i] = PyTuple_GET_ITEM(args, i);
        while (kwargs && PyDict_Next(kwargs, &at, &name, &value)) {
            values[nargs + k] = value; /* the dictionary is this call's own */
            PyTuple_SET_ITEM(kwnames, k++, Py_NewRef(name));
        }
        filled = record_fill(layout, record->data, values, nargs, kwnames, NULL);
    }
    PyMem_Free((void *)values);
    Py_XDECREF(kwnames);
    if (filled < 0)
        Py_CLEAR(record);
    return (PyObject *)record;
}

static PyObject *record_copy(PyObject *self, PyObject *memo) {
    (void)memo; /* of a deep copy: there is nothing behind the bytes */
    const Record *record = (Record *)self;
    Record *copy = record_allocate(Py_TYPE(self), record->layout, RECORD_COPY);
    const unsigned char *data = copy ? record_memory(record) : NULL;
    if (!data)
        Py_CLEAR(copy);
    else
        memcpy(copy->data, data, (size_t)record->size);
    return (PyObject *)copy;
}

/* ---- The block in which a message is written in place ---- */

static PyObject *record_enter(PyObject *self, PyObject *unused) {
    const Record *record = (Record *)self;
    if (record->kind != RECORD_GUARD) {
        PyErr_Format(TachyonError,
                     "this %s is no slot of a ring, as channel.send() "
                     "gives it",
                     Py_TYPE(self)->tp_name);
        return NULL;
    }
    if (!record->owner) {
        record_raise_left();
        return NULL;
    }
    PyObject *guard = guard_enter(record->owner, unused);
    if (!guard)
        return NULL;
    Py_DECREF(guard);
    return Py_NewRef(self);
}

static PyObject *record_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    Record *record = (Record *)self;
    if (record->kind != RECORD_GUARD || !record->owner)
        Py_RETURN_FALSE;
    PyObject *owner = Py_NewRef(record->owner);
    PyObject *result = tx_guard_exit(owner, args, nargs);
    if (record->owner && ((Guard *)owner)->state != GUARD_OPEN)
        Py_CLEAR(record->owner);
    Py_DECREF(owner);
    return result;
}

/* ---- What there is of any object ---- */

static PyObject *record_repr(PyObject *self) {
    const Record *record = (Record *)self;
    const char *name = Py_TYPE(self)->tp_name;
    if (!record_memory(record)) {
        PyErr_Clear();
        return PyUnicode_FromFormat("<%s, left>", name);
    }
    PyObject *parts = PyList_New(0), *comma = PyUnicode_FromString(", ");
    for (Py_ssize_t i = 0; parts && i < field_count(record->layout); ++i) {
        const Field *field = field_at(record->layout, i);
        PyObject *value = field_plain(field, record);
        PyObject *part =
            value ? PyUnicode_FromFormat("%U=%R", field->name, value) : NULL;
        if (!part || PyList_Append(parts, part) < 0)
            Py_CLEAR(parts);
        Py_XDECREF(part);
        Py_XDECREF(value);
    }
    PyObject *text = parts && comma ? PyUnicode_Join(comma, parts) : NULL;
    PyObject *repr = text ? PyUnicode_FromFormat("%s(%U)", name, text) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(parts);
    Py_XDECREF(comma);
    return repr;
}

/* 1 or 0, or -1 with an exception. */
static int records_equal(const Record *one, const Record *other) {
    int equal = 1;
    for (Py_ssize_t i = 0; equal == 1 && i < field_count(one->layout); ++i) {
        const Field *field = field_at(one->layout, i);
        PyObject *left = field_plain(field, one);
        PyObject *right = left ? field_plain(field, other) : NULL;
        equal = right ? PyObject_RichCompareBool(left, right, Py_EQ) : -1;
        Py_XDECREF(left);
        Py_XDECREF(right);
    }
    return equal;
}

static PyObject *record_compare(PyObject *self, PyObject *other, int operation) {
    if ((operation != Py_EQ && operation != Py_NE) ||
        !PyObject_TypeCheck(other, Record_Type) ||
        ((Record *)self)->layout != ((Record *)other)->layout)
        Py_RETURN_NOTIMPLEMENTED;
    int equal = records_equal((Record *)self, (Record *)other);
    return equal < 0 ? NULL : PyBool_FromLong(equal == (operation == Py_EQ));
}

static PyObject *record_iter(PyObject *self) {
    const Record *record = (Record *)self;
    PyObject *values = PyTuple_New(field_count(record->layout));
    for (Py_ssize_t i = 0; values && i < field_count(record->layout); ++i) {
        PyObject *value = field_value(field_at(record->layout, i), record);
        if (!value)
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, i, value);
    }
    PyObject *iterator = values ? PyObject_GetIter(values) : NULL;
    Py_XDECREF(values);
    return iterator;
}

static PyObject *record_reduce(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *reduce = import_from("tachyon.record", "reduce");
    PyObject *reduced = reduce ? PyObject_CallOneArg(reduce, self) : NULL;
    Py_XDECREF(reduce);
    return reduced;
}

/* A name of Python's, which is asked for to see whether it is there. */
static bool is_special(PyObject *name) {
    return PyUnicode_GET_LENGTH(name) > 1 && PyUnicode_READ_CHAR(name, 0) == '_' &&
           PyUnicode_READ_CHAR(name, 1) == '_';
}

/* Where not even the class has the name, the fields are named. */
static void explain(PyObject *self, PyObject *name) {
    PyObject *type, *error, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError) || is_special(name))
        return;
    PyErr_Fetch(&type, &error, &traceback);
    if (PyObject_HasAttr((PyObject *)Py_TYPE(self), name)) {
        PyErr_Restore(type, error, traceback);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    raise_no_field(PyExc_AttributeError, ((Record *)self)->layout, Py_TYPE(self), name);
}

/* The field of a name, held, or NULL. What Python would do comes to the same, later. */
static inline PyObject *field_of(PyObject *self, PyObject *name) {
    PyObject *found = _PyType_Lookup(Py_TYPE(self), name); /* borrowed */
    return found && Py_IS_TYPE(found, Field_Type) ? Py_NewRef(found) : NULL;
}

static PyObject *record_getattr(PyObject *self, PyObject *name) {
    PyObject *field = field_of(self, name);
    PyObject *value =
        field ? field_get(field, self, NULL) : PyObject_GenericGetAttr(self, name);
    Py_XDECREF(field);
    if (!value && !field)
        explain(self, name);
    return value;
}

static int record_setattr(PyObject *self, PyObject *name, PyObject *value) {
    PyObject *field = field_of(self, name);
    int set = field ? field_set(field, self, value)
                    : PyObject_GenericSetAttr(self, name, value);
    Py_XDECREF(field);
    if (set < 0 && !field)
        explain(self, name);
    return set;
}

/* A view of a slot counts, and is of the guard also when the record was left. */
static int record_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    Record *record = (Record *)self;
    bool in_slot = record->kind == RECORD_GUARD;
    view->obj = NULL;
    if (!record_memory(record)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_BufferError, "this message was left; its slot is gone");
        return -1;
    }
    int filled =
        in_slot ? guard_get_view((Guard *)record->owner, self, view, record->data,
                                 (size_t)record->size, flags)
                : PyBuffer_FillInfo(view, self, record->data, record->size, 0, flags);
    if (filled == 0)
        view->internal = in_slot ? Py_NewRef(record->owner) : NULL;
    return filled;
}

static void record_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)self;
    if (view->internal)
        record_let_go(view->internal, true);
}

/* ---- Classes ---- */

static int layout_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Layout *)self)->fields);
    return 0;
}

static void layout_dealloc(PyObject *self) {
    Layout *layout = (Layout *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pool_empty(&layout->copies);
    pool_empty(&layout->others);
    Py_XDECREF(layout->fields);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Under all names that the field has. Not by setattr(), which the properties of the
   class's own class, such as `size`, would refuse: a field may be called the same. */
static int set_field(PyObject *cls, const Field *field) {
    PyObject *dict = ((PyTypeObject *)cls)->tp_dict;
    PyObject *descriptor = (PyObject *)(uintptr_t)field;
    int set = PyDict_SetItem(dict, field->name, descriptor);
    for (Py_ssize_t i = 0; set == 0 && i < PyTuple_GET_SIZE(field->aliases); ++i)
        set = PyDict_SetItem(dict, PyTuple_GET_ITEM(field->aliases, i), descriptor);
    PyType_Modified((PyTypeObject *)cls);
    return set;
}

static int add_fields(PyObject *cls, Layout *layout, PyObject *rows) {
    layout->fields = PyTuple_New(PyTuple_GET_SIZE(rows));
    for (Py_ssize_t i = 0; layout->fields && i < PyTuple_GET_SIZE(rows); ++i) {
        Field *field = field_new(cls, PyTuple_GET_ITEM(rows, i), layout->size);
        if (!field)
            return -1;
        PyTuple_SET_ITEM(layout->fields, i, (PyObject *)field);
        if (set_field(cls, field) < 0)
            return -1;
    }
    return layout->fields ? 0 : -1;
}

/* Give a class derived from Record its fields. sizes: (size, smallest, grows, type_id). */
PyObject *define_record(PyObject *cls, PyObject *sizes, PyObject *rows) {
    int grows;
    PyTypeObject *type = (PyTypeObject *)cls;
    Layout *layout = (Layout *)Layout_Type->tp_alloc(Layout_Type, 0);
    if (!layout)
        return NULL;
    if (!PyType_Check(cls) || type->tp_base != Record_Type || !PyTuple_Check(sizes) ||
        !PyTuple_Check(rows)) {
        PyErr_SetString(PyExc_TypeError, "a class derived from Record, and tuples");
    } else if (PyArg_ParseTuple(sizes, "nnpI", &layout->size, &layout->smallest, &grows,
                                &layout->type_id)) {
        layout->grows = grows;
        if (layout->size < 1 || layout->smallest < 0 || layout->smallest > layout->size)
            PyErr_Format(PyExc_ValueError, "%s of %zd bytes, at least %zd",
                         type->tp_name, layout->size, layout->smallest);
        else if (add_fields(cls, layout, rows) == 0)
            PyObject_SetAttr(cls, layout_name, (PyObject *)layout);
    }
    Py_DECREF(layout);
    if (PyErr_Occurred())
        return NULL;
    if (!type->tp_finalize) /* what Python does for classes takes longer than the rest */
        type->tp_dealloc = record_dealloc;
    Py_RETURN_NONE;
}

static PyMethodDef record_methods[] = {PLAIN("__enter__", record_enter, METH_NOARGS),
                                       PLAIN("__exit__", record_exit, METH_FASTCALL),
                                       PLAIN("__copy__", record_copy, METH_NOARGS),
                                       PLAIN("__deepcopy__", record_copy, METH_O),
                                       PLAIN("__reduce__", record_reduce, METH_NOARGS),
                                       {NULL, NULL, 0, NULL}};

static PyType_Slot record_slots[] = {{Py_tp_new, record_new},
                                     {Py_tp_dealloc, record_dealloc},
                                     {Py_tp_traverse, record_traverse},
                                     {Py_tp_repr, record_repr},
                                     {Py_tp_richcompare, record_compare},
                                     {Py_tp_hash, PyObject_HashNotImplemented},
                                     {Py_tp_iter, record_iter},
                                     {Py_tp_getattro, record_getattr},
                                     {Py_tp_setattro, record_setattr},
                                     {Py_bf_getbuffer, record_getbuffer},
                                     {Py_bf_releasebuffer, record_releasebuffer},
                                     {Py_tp_methods, record_methods},
                                     {0, NULL}};
static PyType_Spec record_spec = {.name = "tachyon._native.Record",
                                  .basicsize = sizeof(Record),
                                  .itemsize = 1,
                                  .flags = OPEN,
                                  .slots = record_slots};

static PyType_Slot layout_slots[] = {
    {Py_tp_traverse, layout_traverse}, {Py_tp_dealloc, layout_dealloc}, {0, NULL}};
static PyType_Spec layout_spec = {.name = "tachyon._native.Layout",
                                  .basicsize = sizeof(Layout),
                                  .flags = FINAL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                  .slots = layout_slots};

int record_init(PyObject *module) {
    layout_name = PyUnicode_InternFromString("__layout__");
    Layout_Type = (PyTypeObject *)PyType_FromSpec(&layout_spec);
    Record_Type = (PyTypeObject *)PyType_FromSpec(&record_spec);
    return layout_name && Layout_Type && Record_Type && field_init() == 0
               ? PyModule_AddObjectRef(module, "Record", (PyObject *)Record_Type)
               : -1;
}
