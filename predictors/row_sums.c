/* Sums over rows of tables, as the heads need them for one query: what numpy gives, bit for bit, without its dozen
 * calls of a microsecond each. Terms are added one after another in double precision, never fused.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one build for every Python from 3.11 on */
#include <Python.h>

#include <stdint.h>
#include <string.h>

static int view_of(PyObject *given, Py_buffer *view, Py_ssize_t item, Py_ssize_t or_item) {
    if (PyObject_GetBuffer(given, view, PyBUF_C_CONTIGUOUS) < 0) return -1;
    if (view->itemsize == item || view->itemsize == or_item) return 0;
    PyErr_SetString(PyExc_ValueError, "numbers of another width are expected");
    PyBuffer_Release(view);
    return -1;
}

/* add_rows(table, width, buckets, index): the rows of a float32 table (n, width) at the int64 `buckets` (k,), added up
 * as float64 (width,). With an int32 `index` (m,) a bucket's row is index[bucket], and row 0 is passed over. */
static PyObject *add_rows(PyObject *Py_UNUSED(module), PyObject *arguments) {
    PyObject *table_given, *buckets_given, *index_given, *made = NULL;
    Py_ssize_t width;
    Py_buffer table = {0}, buckets = {0}, index = {0};
    if (!PyArg_ParseTuple(arguments, "OnOO", &table_given, &width, &buckets_given, &index_given)) return NULL;
    if (view_of(table_given, &table, sizeof(float), 0) < 0) return NULL;
    if (view_of(buckets_given, &buckets, sizeof(int64_t), 0) < 0) goto done;
    if (index_given != Py_None && view_of(index_given, &index, sizeof(int32_t), 0) < 0) goto done;
    Py_ssize_t stride = width * (Py_ssize_t)sizeof(float);
    if (width < 1 || table.len % stride) {
        PyErr_SetString(PyExc_ValueError, "the table has another width");
        goto done;
    }
    Py_ssize_t rows = table.len / stride, count = buckets.len / (Py_ssize_t)sizeof(int64_t);
    Py_ssize_t known = index.buf == NULL ? rows : index.len / (Py_ssize_t)sizeof(int32_t);
    const int64_t *bucket = buckets.buf;
    const int32_t *place = index.buf;
    const float *values = table.buf;
    made = PyBytes_FromStringAndSize(NULL, width * (Py_ssize_t)sizeof(double));
    if (made == NULL) goto done;
    double *total = (double *)PyBytes_AsString(made); /* what a bytes object holds begins on a double's boundary */
    memset(total, 0, (size_t)width * sizeof(double));
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t row = bucket[i] < 0 || bucket[i] >= known ? -1 : place == NULL ? bucket[i] : place[bucket[i]];
        if (row < 0 || row >= rows) {
            PyErr_SetString(PyExc_IndexError, "a bucket outside of the table");
            Py_CLEAR(made);
            goto done;
        }
        if (place != NULL && row == 0) continue;
        const float *value = values + row * width;
        for (Py_ssize_t t = 0; t < width; t++) total[t] += (double)value[t];
    }
done:
    PyBuffer_Release(&table);
    PyBuffer_Release(&buckets);
    PyBuffer_Release(&index);
    return made;
}

/* scaled_sum(row, mean, scale, most, coef): z = (row - mean) * scale cut at +-most, then z times coef (d + 1, k) whose
 * last row is added as it is; float64 (k,). `row` (d,) is float32 or float64, all else float64. */
static PyObject *scaled_sum(PyObject *Py_UNUSED(module), PyObject *arguments) {
    PyObject *row_given, *mean_given, *scale_given, *coef_given, *made = NULL;
    double most;
    Py_buffer row = {0}, mean = {0}, scale = {0}, coef = {0};
    if (!PyArg_ParseTuple(arguments, "OOOdO", &row_given, &mean_given, &scale_given, &most, &coef_given)) return NULL;
    if (view_of(row_given, &row, sizeof(float), sizeof(double)) < 0) return NULL;
    if (view_of(mean_given, &mean, sizeof(double), 0) < 0 || view_of(scale_given, &scale, sizeof(double), 0) < 0
        || view_of(coef_given, &coef, sizeof(double), 0) < 0)
        goto done;
    Py_ssize_t count = row.len / row.itemsize, rows = count + 1, stride = coef.len / rows;
    Py_ssize_t width = stride / (Py_ssize_t)sizeof(double);
    if (mean.len != count * (Py_ssize_t)sizeof(double) || scale.len != mean.len || coef.len != rows * stride
        || stride != width * (Py_ssize_t)sizeof(double) || width < 1) {
        PyErr_SetString(PyExc_ValueError, "row, mean, scale and coef do not fit together");
        goto done;
    }
    made = PyBytes_FromStringAndSize(NULL, stride);
    if (made == NULL) goto done;
    double *total = (double *)PyBytes_AsString(made);
    const double *means = mean.buf, *scales = scale.buf, *at = coef.buf;
    memset(total, 0, (size_t)stride);
    for (Py_ssize_t i = 0; i < count; i++, at += width) {
        double value = row.itemsize == sizeof(float) ? (double)((const float *)row.buf)[i] : ((const double *)row.buf)[i];
        double z = (value - means[i]) * scales[i];
        if (z > most) z = most;
        else if (z < -most) z = -most;
        for (Py_ssize_t t = 0; t < width; t++) total[t] += z * at[t];
    }
    for (Py_ssize_t t = 0; t < width; t++) total[t] += at[t];
done:
    PyBuffer_Release(&row);
    PyBuffer_Release(&mean);
    PyBuffer_Release(&scale);
    PyBuffer_Release(&coef);
    return made;
}

static PyMethodDef functions[] = {
    {"add_rows", add_rows, METH_VARARGS, NULL},
    {"scaled_sum", scaled_sum, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_row_sums", .m_methods = functions, .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__row_sums(void) { return PyModuleDef_Init(&definition); }
