/* items.h -- the items of a ctypes object, read and written in its memory.

   What a value becomes, and which it takes, is ctypes' business; here is done only what is
   beyond doubt: plain ints and floats in the simple types.  No locks here: guarded.c.  */
#ifndef PYCMP_ITEMS_H
#define PYCMP_ITEMS_H

#include <string.h>
#include "module.h"

/* Where they are; code 0: nowhere, all is left to ctypes. */
struct pycmp_items {
    char code;   /* as in `array`, or 'c' */
    size_t size; /* of an item */
    char *memory;
    Py_ssize_t length;
};

/* The items of obj, which must keep its memory where it is as long as they are used; none
   where nothing is done here for that code.  0, or -1 and an exception.  */
int pycmp_items_find(struct pycmp_items *items, PyObject *obj, char code);

/* ---- one item, inline: an access is to cost no call -------------------------------------- */

/* do(code, C type, to Python, from Python, class) of each type that is read and written
   here; class: int or float. */
#define PYCMP_NUMBERS(do) \
    do('b', signed char, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('B', unsigned char, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('h', short, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('H', unsigned short, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('i', int, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('I', unsigned int, PyLong_FromUnsignedLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('l', long, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('L', unsigned long, PyLong_FromUnsignedLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('q', long long, PyLong_FromLongLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('Q', unsigned long long, PyLong_FromUnsignedLongLong, PyLong_AsUnsignedLongLongMask, \
       PyLong) \
    do('f', float, PyFloat_FromDouble, PyFloat_AS_DOUBLE, PyFloat) \
    do('d', double, PyFloat_FromDouble, PyFloat_AS_DOUBLE, PyFloat)

static inline PyObject *pycmp_item_load(char code, const char *at)
{
    switch (code) {
#define LOAD(letter, type, to, from, class) \
    case letter: { type value; memcpy(&value, at, sizeof value); return to(value); }
    PYCMP_NUMBERS(LOAD)
#undef LOAD
    default: return PyBytes_FromStringAndSize(at, 1); /* 'c' */
    }
}

/* False: leave it to ctypes. */
static inline bool pycmp_item_store(char code, char *at, PyObject *value)
{
    switch (code) {
#define STORE(letter, type, to, from, class) \
    case letter: { \
        if (!class##_CheckExact(value)) \
            return false; \
        type number = (type)from(value); \
        memcpy(at, &number, sizeof number); \
        return true; \
    }
    PYCMP_NUMBERS(STORE)
#undef STORE
    default: return false;
    }
}

/* The item that a plain int names, NULL for all that is to be left to ctypes.  */
static inline char *pycmp_item_at(const struct pycmp_items *items, PyObject *key)
{
    if (items->code == 0 || !PyLong_CheckExact(key))
        return NULL;
    Py_ssize_t i = PyLong_AsSsize_t(key);
    if (i == -1 && PyErr_Occurred())
        PyErr_Clear(); /* too large: -1 is, for ctypes, as wrong */
    else if (i >= -items->length && i < items->length)
        return items->memory + (size_t)(i < 0 ? i + items->length : i) * items->size;
    return NULL;
}

/* ---- obj[key], obj[key] = value of the array obj, whose items these are, or none ----------- */

PyObject *pycmp_items_get_slow(const struct pycmp_items *items, PyObject *obj, PyObject *key);
int pycmp_items_set_slow(const struct pycmp_items *items, PyObject *obj, PyObject *key,
                         PyObject *value);

static inline PyObject *pycmp_items_get(const struct pycmp_items *items, PyObject *obj,
                                        PyObject *key)
{
    const char *item = pycmp_item_at(items, key);
    return item != NULL ? pycmp_item_load(items->code, item)
                        : pycmp_items_get_slow(items, obj, key);
}

static inline int pycmp_items_set(const struct pycmp_items *items, PyObject *obj, PyObject *key,
                                  PyObject *value)
{
    char *item = pycmp_item_at(items, key);
    return item != NULL && pycmp_item_store(items->code, item, value)
               ? 0 : pycmp_items_set_slow(items, obj, key, value);
}

#endif /* PYCMP_ITEMS_H */
