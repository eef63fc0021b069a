/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: what a second import gives, which of SWIG's additions nobody
   should find in a public class, and the docstrings. */
#include "slots.h"

int refuse_subinterpreters(PyObject *module) {
    (void)module;
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return 0;
    PyErr_SetString(PyExc_ImportError, "tachyon does not run in subinterpreters");
    return -1;
}

/* ---- Importing it anew ---- */

static PyObject *first_contents; /* of the module as it was imported first */

/* Where sys.modules was purged, buses may still be open: the module has the same types
   and exceptions again. The classes in Python are new ones. 0 at the first import. */
int module_restore(PyObject *module) {
    if (!first_contents)
        return 0;
    PyObject *contents = PyModule_GetDict(module);
    PyObject *all = PyDict_GetItemString(first_contents, "__all__");
    return PyDict_SetItemString(contents, "__all__", all) < 0 ||
                   PyDict_Merge(contents, first_contents, 0) < 0 ||
                   message_init() < 0 || received_init() < 0
               ? -1
               : 1;
}

/* ---- Docstrings ---- */

/* The text belongs to tachyon._docs, which is never let go. */
static int document(PyObject *thing, PyObject *text) {
    const char *utf8 = PyUnicode_AsUTF8(text);
    if (utf8 && Py_IS_TYPE(thing, &PyMethodDescr_Type))
        ((PyMethodDescrObject *)thing)->d_method->ml_doc = utf8;
    else if (utf8 && PyCFunction_Check(thing))
        ((PyCFunctionObject *)thing)->m_ml->ml_doc = utf8;
    else if (utf8 && PyType_Check(thing))
        return PyDict_SetItemString(((PyTypeObject *)thing)->tp_dict, "__doc__", text);
    return utf8 ? 0 : -1;
}

/* Names of the module, and behind a full stop of a class in it. */
static int document_all(PyObject *module) {
    PyObject *docs = import_from("tachyon._docs", "DOCS"); /* for good */
    PyObject *path, *text;
    Py_ssize_t position = 0;
    PyObject *stop = PyUnicode_FromString(".");
    int done = docs && stop ? 0 : -1;
    while (done == 0 && PyDict_Next(docs, &position, &path, &text)) {
        PyObject *names = PyUnicode_Split(path, stop, -1);
        PyObject *thing = names ? Py_NewRef(module) : NULL;
        for (Py_ssize_t i = 0; thing && i < PyList_GET_SIZE(names); ++i)
            Py_XSETREF(thing, PyObject_GetAttr(thing, PyList_GET_ITEM(names, i)));
        done = thing ? document(thing, text) : -1;
        Py_XDECREF(thing);
        Py_XDECREF(names);
    }
    Py_XDECREF(stop);
    return done;
}

/* ---- What SWIG has added ---- */

static int delete_names(PyObject *dict, const char *const *names) {
    for (; *names; ++names)
        if (PyDict_GetItemString(dict, *names) &&
            PyDict_DelItemString(dict, *names) < 0)
            return -1;
    return 0;
}

/* No way past us to the struct, and no dictionary, which would keep a mistyped
   attribute in silence. */
static int finish_type(PyTypeObject *type) {
    static const char *const unwanted[] = {"this", "thisown", "__dict__", NULL};
    if (delete_names(type->tp_dict, unwanted) < 0)
        return -1;
    type->tp_dictoffset = 0;
    PyType_Modified(type);
    return 0;
}

static int rename_type(PyObject *type, const char *name) {
    PyObject *text = PyUnicode_FromString(name);
    PyObject *module = PyUnicode_FromString("tachyon._native");
    int renamed = text && module &&
                  PyObject_SetAttrString(type, "__name__", text) == 0 &&
                  PyObject_SetAttrString(type, "__qualname__", text) == 0 &&
                  PyObject_SetAttrString(type, "__module__", module) == 0;
    Py_XDECREF(text);
    Py_XDECREF(module);
    return renamed ? 0 : -1;
}

/* The base of all of them, which no other module of SWIG's shares. */
static int finish_base(PyTypeObject *base) {
    static const char *const unwanted[] = {"acquire", "append",  "disown", "next",
                                           "own",     "__int__", NULL};
    for (const char *const *name = unwanted; *name; ++name)
        if (PyObject_DelAttrString((PyObject *)base, *name) < 0) /* and its slot */
            return -1;
    return rename_type((PyObject *)base, "Object") < 0
               ? -1
               : rename_type((PyObject *)Py_TYPE(type_of(types.TxGuard)), "ObjectType");
}

static int finish_types(PyObject *module) {
    PyTypeObject *base = type_of(types.TachyonBus)->tp_base;
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyModule_GetDict(module), &position, &name, &value))
        if (PyType_Check(value) && PyType_IsSubtype((PyTypeObject *)value, base) &&
            finish_type((PyTypeObject *)value) < 0)
            return -1;
    return finish_base(base);
}

int module_init(PyObject *module) {
    types_init();
    frame_type_init();
    waiting_init();
    if (errors_init(module) < 0 || message_init() < 0 || received_init() < 0 ||
        base_init() < 0 || record_init(module) < 0 || finish_types(module) < 0 ||
        document_all(module) < 0)
        return -1;
    first_contents = PyDict_Copy(PyModule_GetDict(module));
    return first_contents ? 0 : -1;
}
