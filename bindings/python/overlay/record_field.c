/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a field: one item, an array, a struct, or an array of structs. */
#include "record.h"

PyTypeObject *Field_Type;

enum { ON_THE_STACK = 256 };

/* ---- Reading ---- */

/* A struct at `offset` of a record, as a record that keeps it. */
static PyObject *part_of(const Field *field, const Record *record, Py_ssize_t offset) {
    bool in_slot = record->kind == RECORD_GUARD || record->kind == RECORD_VIEW;
    Record *part = record_allocate((PyTypeObject *)field->held, field->part,
                                   in_slot ? RECORD_VIEW : RECORD_PART);
    if (!part)
        return NULL;
    unsigned char *data = record_memory(record);
    if (!data) {
        Py_DECREF(part);
        return NULL;
    }
    part->data = data + offset;
    part->owner = record_hold(record, &in_slot);
    if (in_slot)
        ++((Guard *)part->owner)->parts;
    return (PyObject *)part;
}

static PyObject *item_at(const Field *field, const Record *record, Py_ssize_t offset) {
    if (field->part)
        return part_of(field, record, offset);
    const unsigned char *data = record_memory(record);
    return data ? field->get(field, data + offset) : NULL;
}

/* Arrays as sequences of sequences of items, made by `make`. */
static PyObject *items_from(const Field *field, const Record *record, int dimension,
                            Py_ssize_t offset, bool as_tuple) {
    if (dimension == field->dimensions)
        return item_at(field, record, offset);
    Py_ssize_t count = field->shape[dimension];
    PyObject *items = as_tuple ? PyTuple_New(count) : PyList_New(count);
    for (Py_ssize_t i = 0; items && i < count; ++i) {
        PyObject *item = items_from(field, record, dimension + 1,
                                    offset + i * field->strides[dimension], as_tuple);
        if (!item)
            Py_CLEAR(items);
        else if (as_tuple)
            PyTuple_SET_ITEM(items, i, item);
        else
            PyList_SET_ITEM(items, i, item);
    }
    return items;
}

PyObject *field_plain(const Field *field, const Record *record) {
    return items_from(field, record, 0, field->offset, false);
}

PyObject *field_value(const Field *field, const Record *record) {
    if (field->dimensions > 0 && !field->part)
        return array_of(field, record);
    return items_from(field, record, 0, field->offset, true);
}

/* ---- Writing ---- */

static int raise_length(const Field *field, Py_ssize_t wanted, Py_ssize_t given) {
    PyErr_Format(PyExc_ValueError, "%U takes %zd items, not %zd", field->title, wanted,
                 given);
    return -1;
}

/* The value of a dimension as a tuple that nobody changes meanwhile. */
static PyObject *items_of(const Field *field, PyObject *value, Py_ssize_t wanted) {
    Py_ssize_t given = PyObject_Size(value); /* first: there are endless ones */
    if (given < 0) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError))
            return NULL;
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "%U takes %zd items, not %.100R", field->title,
                     wanted, value);
        return NULL;
    }
    PyObject *items = given == wanted ? PySequence_Tuple(value) : NULL;
    if (items && PyTuple_GET_SIZE(items) == wanted)
        return items;
    if (items || given != wanted)
        raise_length(field, wanted, items ? PyTuple_GET_SIZE(items) : given);
    Py_XDECREF(items);
    return NULL;
}

/* Is a buffer of exactly the field's layout? */
static bool is_like(const Field *field, const Py_buffer *view) {
    const char *format = view->format ? view->format : "B";
    if (PY_LITTLE_ENDIAN && (*format == '<' || *format == '=' || *format == '@'))
        ++format;
    bool like = view->ndim == field->dimensions && view->itemsize == field->item_size &&
                strcmp(format, field->format) == 0;
    for (int i = 0; like && i < view->ndim; ++i)
        like = view->shape[i] == field->shape[i];
    return like && PyBuffer_IsContiguous(view, 'C');
}

/* 1 when it was copied, 0 when it has to go item by item, -1 with an exception. */
static int put_array(const Field *field, unsigned char *to, PyObject *value) {
    Py_buffer view;
    if (field->part || !PyObject_CheckBuffer(value))
        return 0;
    if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) < 0) {
        PyErr_Clear(); /* an array of dates, say: its items tell what is wrong */
        return 0;
    }
    bool like = is_like(field, &view);
    if (like)
        memcpy(to, view.buf, (size_t)field->size);
    PyBuffer_Release(&view);
    return like;
}

static int put_items(const Field *field, unsigned char *to, PyObject *value,
                     int dimension) {
    if (dimension == field->dimensions)
        return field->put(field, to, value);
    PyObject *items = items_of(field, value, field->shape[dimension]);
    if (!items)
        return -1;
    int put = 0;
    for (Py_ssize_t i = 0; put == 0 && i < field->shape[dimension]; ++i)
        put = put_items(field, to + i * field->strides[dimension],
                        PyTuple_GET_ITEM(items, i), dimension + 1);
    Py_DECREF(items);
    return put;
}

static inline int put_value(const Field *field, unsigned char *to, PyObject *value) {
    if (field->dimensions == 0)
        return field->put(field, to, value);
    int put = put_array(field, to, value);
    return put != 0 ? (put > 0 ? 0 : -1) : put_items(field, to, value, 0);
}

/* ---- Structs ---- */

static int put_mapping(const Field *field, unsigned char *to, PyObject *mapping) {
    PyObject *keys = PyDict_Keys(mapping);
    PyObject *names = keys ? PyList_AsTuple(keys) : NULL;
    PyObject *list = names ? PyDict_Values(mapping) : NULL;
    PyObject *values = list ? PyList_AsTuple(list) : NULL;
    int put = -1;
    if (values && PyTuple_GET_SIZE(values) == PyTuple_GET_SIZE(names))
        put =
            record_fill(field->part, to, &PyTuple_GET_ITEM(values, 0), 0, names, NULL);
    Py_XDECREF(keys);
    Py_XDECREF(names);
    Py_XDECREF(list);
    Py_XDECREF(values);
    return put;
}

static int put_part(const Field *field, unsigned char *to, PyObject *value) {
    if (PyObject_TypeCheck(value, Record_Type) &&
        ((Record *)value)->layout == field->part) {
        const unsigned char *from = record_memory((Record *)value);
        if (from)
            memmove(to, from, (size_t)field->item_size);
        return from ? 0 : -1;
    }
    if (PyDict_Check(value))
        return put_mapping(field, to, value);
    if (!PyTuple_Check(value) && !PyList_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "%U must be a %s, a tuple of its fields or a dict, not %.100R",
                     field->title, ((PyTypeObject *)field->held)->tp_name, value);
        return -1;
    }
    PyObject *values = PySequence_Tuple(value);
    int put = values ? record_fill(field->part, to, &PyTuple_GET_ITEM(values, 0),
                                   PyTuple_GET_SIZE(values), NULL, NULL)
                     : -1;
    Py_XDECREF(values);
    return put;
}

/* ---- Many at once ---- */

static bool is_named(const Field *field, PyObject *name) {
    bool named = PyUnicode_Compare(field->name, name) == 0 ||
                 PyUnicode_Compare(field->c_name, name) == 0;
    for (Py_ssize_t i = 0; !named && i < PyTuple_GET_SIZE(field->aliases); ++i)
        named = PyUnicode_Compare(PyTuple_GET_ITEM(field->aliases, i), name) == 0;
    return named;
}

/* -1: there is none. */
static Py_ssize_t find_field(const Layout *layout, PyObject *name) {
    for (Py_ssize_t i = 0; i < field_count(layout); ++i)
        if (field_at(layout, i)->name == name)
            return i;
    for (Py_ssize_t i = 0; PyUnicode_Check(name) && i < field_count(layout); ++i)
        if (is_named(field_at(layout, i), name))
            return i;
    return -1;
}

/* The names of all fields, as in "a, b, c". */
static PyObject *names_of(const Layout *layout) {
    PyObject *names = PyList_New(0), *comma = PyUnicode_FromString(", ");
    for (Py_ssize_t i = 0; names && i < field_count(layout); ++i)
        if (PyList_Append(names, field_at(layout, i)->name) < 0)
            Py_CLEAR(names);
    PyObject *text = names && comma ? PyUnicode_Join(comma, names) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(comma);
    return text;
}

void raise_no_field(PyObject *exception, const Layout *layout, PyTypeObject *type,
                    PyObject *name) {
    PyObject *names = names_of(layout);
    if (names)
        PyErr_Format(exception, "%.100s has no field %R; it has %U", type->tp_name,
                     name, names);
    Py_XDECREF(names);
}

static PyTypeObject *owner_of(const Layout *layout) {
    return field_count(layout) > 0 ? field_at(layout, 0)->owner : Record_Type;
}

/* Which field a keyword is for, beside the positional and the earlier ones; -1 with an
   exception, or without one for what is one of the `others`. */
static Py_ssize_t place_keyword(const Layout *layout, Py_ssize_t nargs,
                                PyObject *kwnames, Py_ssize_t k, PyObject *const *args,
                                PyObject **others) {
    static const char *const other[] = {"timeout", "block"};
    PyObject *name = PyTuple_GET_ITEM(kwnames, k);
    Py_ssize_t found = find_field(layout, name);
    for (int i = 0; found < 0 && others && i < 2; ++i) {
        if (PyUnicode_CompareWithASCIIString(name, other[i]) == 0) {
            others[i] = args[nargs + k];
            return -1;
        }
    }
    if (found < 0) {
        raise_no_field(PyExc_TypeError, layout, owner_of(layout), name);
        return -1;
    }
    bool twice = found < nargs;
    for (Py_ssize_t i = 0; !twice && i < k; ++i)
        twice = find_field(layout, PyTuple_GET_ITEM(kwnames, i)) == found;
    if (twice) {
        PyErr_Format(PyExc_TypeError, "%U is given twice",
                     field_at(layout, found)->title);
        return -1;
    }
    return found;
}

int record_fill(const Layout *layout, unsigned char *to, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, PyObject **others) {
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nargs > field_count(layout)) {
        PyErr_Format(PyExc_TypeError, "%.100s has %zd fields, not %zd",
                     owner_of(layout)->tp_name, field_count(layout), nargs);
        return -1;
    }
    memset(to, 0, (size_t)layout->size);
    for (Py_ssize_t i = 0; i < nargs; ++i) {
        const Field *field = field_at(layout, i);
        if (put_value(field, to + field->offset, args[i]) < 0)
            return -1;
    }
    for (Py_ssize_t k = 0, next = nargs; k < keywords; ++k) {
        bool in_order = next == nargs + k && next < field_count(layout) &&
                        field_at(layout, next)->name == PyTuple_GET_ITEM(kwnames, k);
        Py_ssize_t i =
            in_order ? next : place_keyword(layout, nargs, kwnames, k, args, others);
        if (i < 0 && PyErr_Occurred())
            return -1;
        if (in_order)
            ++next;
        const Field *field = i < 0 ? NULL : field_at(layout, i);
        if (field && put_value(field, to + field->offset, args[nargs + k]) < 0)
            return -1;
    }
    return 0;
}

/* ---- The descriptor ---- */

static Record *record_of(const Field *field, PyObject *object) {
    Record *record = (Record *)object;
    if ((Py_IS_TYPE(object, field->owner) ||
         PyObject_TypeCheck(object, field->owner)) &&
        field->offset + field->size <= record->size)
        return record;
    PyErr_Format(PyExc_TypeError, "%U is a field of %s, not of %.100R", field->title,
                 field->owner->tp_name, object);
    return NULL;
}

PyObject *field_get(PyObject *descriptor, PyObject *object, PyObject *type) {
    (void)type;
    const Field *field = (Field *)descriptor;
    if (!object)
        return Py_NewRef(descriptor);
    const Record *record = record_of(field, object);
    if (!record)
        return NULL;
    if (field->dimensions > 0 || field->part)
        return field_value(field, record);
    const unsigned char *data = record_memory(record);
    return data ? field->get(field, data + field->offset) : NULL;
}

static inline void copy_item(unsigned char *to, const unsigned char *from,
                             Py_ssize_t size) {
    switch (size) {
    case 1:
        *to = *from;
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, (size_t)size);
    }
}

int field_set(PyObject *descriptor, PyObject *object, PyObject *value) {
    const Field *field = (Field *)descriptor;
    const Record *record = record_of(field, object);
    if (!record)
        return -1;
    if (!value) {
        PyErr_Format(PyExc_AttributeError, "cannot delete %U", field->title);
        return -1;
    }
    unsigned char room[ON_THE_STACK], *from = room;
    if (field->size > ON_THE_STACK && !(from = PyMem_Malloc((size_t)field->size))) {
        PyErr_NoMemory();
        return -1;
    }
    unsigned char *to =
        put_value(field, from, value) < 0 ? NULL : record_memory(record);
    if (to)
        copy_item(to + field->offset, from, field->size);
    if (from != room)
        PyMem_Free(from);
    return to ? 0 : -1;
}

static PyObject *field_repr(PyObject *self) {
    return PyUnicode_FromFormat("<field %U>", ((Field *)self)->title);
}

static int field_traverse(PyObject *self, visitproc visit, void *arg) {
    Field *field = (Field *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(field->owner);
    Py_VISIT(field->held);
    Py_VISIT(field->part);
    return 0;
}

static void field_dealloc(PyObject *self) {
    Field *field = (Field *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(field->owner);
    Py_XDECREF(field->name);
    Py_XDECREF(field->c_name);
    Py_XDECREF(field->title);
    Py_XDECREF(field->aliases);
    Py_XDECREF(field->held);
    Py_XDECREF(field->part);
    PyMem_Free(field->shape);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* ---- Making it ---- */

/* An enumerator where there is one of the value, else the integer. */
static PyObject *get_enumerator(const Field *field, const unsigned char *from) {
    PyObject *number = field->get_number(field, from);
    PyObject *member =
        number ? PyDict_GetItemWithError(field->held, number) : NULL; /* borrowed */
    if (!member)
        return PyErr_Occurred() ? (Py_XDECREF(number), NULL) : number;
    Py_DECREF(number);
    return Py_NewRef(member);
}

static int field_shape(Field *field, PyObject *shape) {
    int given = (int)PyTuple_GET_SIZE(shape);
    bool folds = given > 0 && field->format[0] == 's';
    field->dimensions = given - folds;
    field->shape = PyMem_Calloc((size_t)given * 2 + 1, sizeof *field->shape);
    if (!field->shape) {
        PyErr_NoMemory();
        return -1;
    }
    field->strides = field->shape + given;
    for (int i = 0; i < given; ++i)
        field->shape[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i));
    if (PyErr_Occurred())
        return -1;
    for (int i = 0; i < given; ++i) {
        if (field->shape[i] < 1) {
            PyErr_Format(PyExc_ValueError, "%U is an array of %zd items", field->title,
                         field->shape[i]);
            return -1;
        }
    }
    if (folds)
        field->item_size = field->shape[given - 1];
    if (field->format[0] == 's')
        PyOS_snprintf(field->format, sizeof field->format, "%zds", field->item_size);
    field->size = field->item_size;
    for (int i = field->dimensions; i-- > 0;) {
        field->strides[i] = field->size;
        if (field->size > PY_SSIZE_T_MAX / field->shape[i]) {
            PyErr_Format(PyExc_ValueError, "%U is too large", field->title);
            return -1;
        }
        field->size *= field->shape[i];
    }
    return 0;
}

static int field_item(Field *field, const char *kind, PyObject *held) {
    if (held == Py_None)
        return item_of_kind(field, kind);
    field->held = Py_NewRef(held);
    if (PyDict_Check(held)) {
        int found = item_of_kind(field, kind);
        field->get_number = field->get;
        field->get = get_enumerator;
        return found;
    }
    field->part = layout_of(held);
    if (!field->part)
        return -1;
    Py_INCREF(field->part);
    field->put = put_part;
    field->item_size = field->part->size;
    return 0;
}

Field *field_new(PyObject *cls, PyObject *row, Py_ssize_t struct_size) {
    PyObject *name, *c_name, *title, *shape, *held, *aliases;
    const char *kind;
    Py_ssize_t offset;
    if (!PyArg_ParseTuple(row, "UUUsO!nOO!:field", &name, &c_name, &title, &kind,
                          &PyTuple_Type, &shape, &offset, &held, &PyTuple_Type,
                          &aliases)) {
        return NULL;
    }
    Field *field = (Field *)Field_Type->tp_alloc(Field_Type, 0);
    if (!field)
        return NULL;
    field->owner = (PyTypeObject *)Py_NewRef(cls);
    field->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&field->name);
    field->c_name = Py_NewRef(c_name);
    field->title = Py_NewRef(title);
    field->aliases = Py_NewRef(aliases);
    field->offset = offset;
    if (field_item(field, kind, held) < 0 || field_shape(field, shape) < 0) {
        Py_DECREF(field);
        return NULL;
    }
    if (offset < 0 || offset > struct_size || field->size > struct_size - offset) {
        PyErr_Format(PyExc_ValueError, "%U is not within its struct", title);
        Py_CLEAR(field);
    }
    return field;
}

static PyMemberDef field_members[] = {
    {"__name__", T_OBJECT, offsetof(Field, name), READONLY, NULL},
    {"__objclass__", T_OBJECT, offsetof(Field, owner), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot field_slots[] = {{Py_tp_descr_get, field_get},
                                    {Py_tp_descr_set, field_set},
                                    {Py_tp_repr, field_repr},
                                    {Py_tp_members, field_members},
                                    {Py_tp_traverse, field_traverse},
                                    {Py_tp_dealloc, field_dealloc},
                                    {0, NULL}};
static PyType_Spec field_spec = {.name = "tachyon._native.Field",
                                 .basicsize = sizeof(Field),
                                 .flags = FINAL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 .slots = field_slots};

int field_init(void) {
    Field_Type = (PyTypeObject *)PyType_FromSpec(&field_spec);
    return Field_Type && array_init() == 0 ? 0 : -1;
}
