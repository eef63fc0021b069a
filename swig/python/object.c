/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of SWIG's types that this module allocates itself. A guard is made and
   dropped once a message, so the last two of a kind are kept for the next: two, since
   `as tx` still holds the old one while the new one is made. The interpreter's lock is
   what protects a pool; a build without one turns it on when it imports this module. */

enum { POOL_SIZE = 2 };

typedef struct Pool {
    void *item[POOL_SIZE];
    int count;
} Pool;

static PyTypeObject *type_of(swig_type_info *info) {
    return ((SwigPyClientData *)info->clientdata)->pytype;
}

static int add_method(PyTypeObject *type, PyMethodDef *method) {
    PyObject *descriptor = PyDescr_NewMethod(type, method);
    int added = descriptor
                    ? PyDict_SetItemString(type->tp_dict, method->ml_name, descriptor)
                    : -1;
    Py_XDECREF(descriptor);
    PyType_Modified(type);
    return added;
}

/* Give a class the methods in C of its base once more, as its own: the interpreter goes
   straight to a function only where that belongs to exactly the object's type. */
static PyObject *direct_calls(PyObject *cls) {
    if (!PyType_Check(cls)) {
        PyErr_Format(PyExc_TypeError, "direct_calls() takes a class, not %R", cls);
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *name, *method;
    Py_ssize_t position = 0;
    while (PyDict_Next(type->tp_base->tp_dict, &position, &name, &method)) {
        if (!Py_IS_TYPE(method, &PyMethodDescr_Type)) {
            continue;
        }
        int own = PyDict_Contains(type->tp_dict, name);
        if (own < 0 ||
            (!own && add_method(type, ((PyMethodDescrObject *)method)->d_method) < 0)) {
            return NULL;
        }
    }
    if (type->tp_call == type->tp_base->tp_call) { /* not inherited with tp_call */
        type->tp_flags |= type->tp_base->tp_flags & Py_TPFLAGS_HAVE_VECTORCALL;
    }
    return Py_NewRef(cls);
}

/* A docstring of several lines begins with a newline, which hides its signature. */
static void show_signature(PyObject *descriptor) {
    if (Py_IS_TYPE(descriptor, &PyMethodDescr_Type)) {
        PyMethodDef *method = ((PyMethodDescrObject *)descriptor)->d_method;
        if (method->ml_doc && method->ml_doc[0] == '\n') {
            ++method->ml_doc;
        }
    }
}

/* SWIG gives every object a __dict__: a mistyped attribute would be kept in silence. */
static void forbid_new_attributes(swig_type_info *info) {
    PyTypeObject *type = type_of(info);
    type->tp_dictoffset = 0;
    PyType_Modified(type);
}

/* SWIG also gives it `this` and `thisown`, ways past us to the struct. */
static int finish_type(PyTypeObject *type) {
    PyObject *name, *value;
    Py_ssize_t position = 0;
    if (PyDict_DelItemString(type->tp_dict, "this") < 0 ||
        PyDict_DelItemString(type->tp_dict, "thisown") < 0) {
        return -1;
    }
    while (PyDict_Next(type->tp_dict, &position, &name, &value)) {
        show_signature(value);
    }
    PyType_Modified(type);
    return 0;
}

static int finish_types(PyObject *module) {
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyModule_GetDict(module), &position, &name, &value)) {
        if (PyType_Check(value) &&
            PyType_IsSubtype((PyTypeObject *)value, SwigPyObject_Type()) &&
            finish_type((PyTypeObject *)value) < 0) {
            return -1;
        }
    }
    return 0;
}

static void *object_allocate(swig_type_info *info, size_t size) {
    SwigPyObject *object = (SwigPyObject *)PyObject_Malloc(size);
    if (!object) {
        return PyErr_NoMemory();
    }
    object->ptr = object;
    object->ty = info;
    object->own = 0;
    object->next = NULL;
    object->swigdict = NULL;
    object->weakreflist = NULL;
    return object;
}

/* An object whose struct begins with a SwigPyObject; what follows that is not set. One
   from the pool has the rest of it still as it was made. */
static inline void *object_new(Pool *pool, swig_type_info *info, size_t size) {
    void *object =
        pool->count > 0 ? pool->item[--pool->count] : object_allocate(info, size);
    return object ? PyObject_Init((PyObject *)object, type_of(info)) : NULL;
}

/* Drop what SWIG's base type may have hung on a dying object. */
static void object_clear(SwigPyObject *object) {
    if (object->weakreflist) {
        PyObject_ClearWeakRefs((PyObject *)object);
    }
    Py_CLEAR(object->swigdict);
    Py_CLEAR(object->next);
}

/* The end of tp_dealloc for an object from object_new(). */
static void object_recycle(Pool *pool, void *memory) {
    SwigPyObject *object = memory;
    PyTypeObject *type = Py_TYPE(object);
    object_clear(object);
    if (pool->count < POOL_SIZE) {
        pool->item[pool->count++] = object;
    } else {
        PyObject_Free(object);
    }
    Py_DECREF(type);
}

/* The end of tp_dealloc for an object from tp_alloc. */
static void object_free(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    object_clear((SwigPyObject *)object);
    type->tp_free(object);
    Py_DECREF(type);
}

static void pool_empty(Pool *pool) {
    while (pool->count > 0) {
        PyObject_Free(pool->item[--pool->count]);
    }
}

/* tp_new of types that only a bus makes: an instance from elsewhere has no struct. */
static PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    PyErr_Format(PyExc_TypeError, "%s objects are made by a bus only", type->tp_name);
    return NULL;
}
