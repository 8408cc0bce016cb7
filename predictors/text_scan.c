/* The numbers of a text, read in one pass: what `predictors/features.py` and `predictors/hashing.py` say in numpy,
 * bit for bit, in a tenth of the time. Those two are the definition and serve where this was not built.
 *
 * A Scanner holds the tables of one spec and nothing else; every call works on memory of its own.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one build for every Python from 3.11 on */
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MOST_NUMBERS 64
#define MOST_DIGITS 300   /* of a number that is read as a value; a longer one counts by its length */
#define MOST_GRAMS 8      /* lengths of n-grams in one spec */
#define TEXT_NUMBERS 20
#define WORD_SLOTS 512    /* of the table of known words; a power of two */

typedef struct {
    PyObject_HEAD
    uint64_t mix[256], multiplier, inverse, finish, pair_salt, gram_salt;
    uint8_t classes[256], word_byte[256], strip[256];
    Py_ssize_t class_count, word_count, gram_count, grams[MOST_GRAMS];
    int bits;
    char **words;                /* (word_count,) */
    size_t *word_sizes;
    uint16_t slots[WORD_SLOTS];  /* place + 1 of the word that lives here; 0: none */
} Scanner;

typedef struct { const uint8_t *at; Py_ssize_t size; } Span;

static uint32_t span_hash(const uint8_t *at, Py_ssize_t size) {  /* FNV-1a, only for tables of this file */
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static int is_space(uint8_t c) { return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f); }
static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static int begins_character(uint8_t c) { return (c & 0xC0) != 0x80; }  /* of UTF-8 */

static Py_ssize_t characters(const uint8_t *at, Py_ssize_t size) {
    Py_ssize_t found = 0;
    for (Py_ssize_t i = 0; i < size; i++) found += begins_character(at[i]);
    return found;
}

/* Non-overlapping occurrences, as str.count counts them. */
static Py_ssize_t occurrences(Span text, const char *wanted) {
    Py_ssize_t size = (Py_ssize_t)strlen(wanted), found = 0;
    const uint8_t *at = text.at, *end = text.at + text.size;
    while (end - at >= size && (at = memchr(at, wanted[0], (size_t)(end - at - size + 1))) != NULL) {
        if (memcmp(at, wanted, (size_t)size) == 0) { found++; at += size; }
        else at++;
    }
    return found;
}

/* Lines that begin like an option of a multiple choice: ^\s*\(?[A-J][.):] over ASCII. */
static Py_ssize_t options(Span text) {
    Py_ssize_t found = 0, i = 0;
    while (i < text.size) {
        if (i > 0 && text.at[i - 1] != '\n') {
            const uint8_t *next = memchr(text.at + i, '\n', (size_t)(text.size - i));
            if (next == NULL) break;
            i = next - text.at + 1;
            continue;
        }
        while (i < text.size && is_space(text.at[i])) i++;
        if (i < text.size && text.at[i] == '(') i++;
        if (i + 1 < text.size && text.at[i] >= 'A' && text.at[i] <= 'J' && strchr(".):", text.at[i + 1]) != NULL
            && text.at[i + 1] != 0) {
            found++;
            i += 2;
        } else if (i < text.size) i++;
    }
    return found;
}

/* log10(1 + value) of digits with points and commas; one too long for a float counts by its digits. -1: an error */
static double magnitude(const uint8_t *at, Py_ssize_t size) {
    char plain[MOST_DIGITS + 1];
    Py_ssize_t length = 0;
    int points = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (at[i] == ',') continue;
        points += at[i] == '.';
        if (length < MOST_DIGITS) plain[length] = (char)at[i];
        length++;
    }
    if (length > MOST_DIGITS || points > 1) return (double)length;
    plain[length] = 0;
    double value = PyOS_string_to_double(plain, NULL, NULL);
    if (value == -1.0 && PyErr_Occurred()) return -1.0;
    return log10(1.0 + value);
}

/* The first numbers of an ASCII text, [0-9]+([.,][0-9]+)*, as magnitudes; their count, or -1 after an error. */
static Py_ssize_t numbers_of(Span text, double *sizes, Py_ssize_t *decimals) {
    Py_ssize_t found = 0, i = 0;
    while (i < text.size && found < MOST_NUMBERS) {
        if (!is_digit(text.at[i])) { i++; continue; }
        Py_ssize_t start = i;
        int point = 0;
        for (;;) {
            while (i < text.size && is_digit(text.at[i])) i++;
            if (i + 1 < text.size && (text.at[i] == '.' || text.at[i] == ',') && is_digit(text.at[i + 1])) {
                point |= text.at[i] == '.';
                i++;
            } else break;
        }
        *decimals += point;
        sizes[found] = magnitude(text.at + start, i - start);
        if (sizes[found] < 0.0) return -1;
        found++;
    }
    return found;
}

static int known_word(const Scanner *self, const uint8_t *at, Py_ssize_t size) {
    for (uint32_t slot = span_hash(at, size) & (WORD_SLOTS - 1);; slot = (slot + 1) & (WORD_SLOTS - 1)) {
        int place = (int)self->slots[slot] - 1;
        if (place < 0) return -1;
        if (self->word_sizes[place] == (size_t)size && memcmp(self->words[place], at, (size_t)size) == 0) return place;
    }
}

/* Words of `joined`, which stand one blank apart: how many, how many differ, the longest; known ones into `counts`. */
static int words_of(const Scanner *self, Span joined, double *counts, Py_ssize_t found[3]) {
    Py_ssize_t room = 0;
    if (joined.size) {
        room = 1;
        for (Py_ssize_t i = 0; i < joined.size; i++) room += joined.at[i] == ' ';
    }
    found[0] = room;
    found[1] = found[2] = 0;
    if (!room) return 0;
    size_t slots = 4;
    while (slots < 2 * (size_t)room) slots *= 2;
    Span *seen = PyMem_Calloc(slots, sizeof(Span));
    if (seen == NULL) { PyErr_NoMemory(); return -1; }
    for (Py_ssize_t i = 0, end; i < joined.size; i = end + 1) {
        const uint8_t *at = joined.at + i, *blank = memchr(at, ' ', (size_t)(joined.size - i));
        end = blank == NULL ? joined.size : blank - joined.at;
        Py_ssize_t size = end - i;
        size_t slot = span_hash(at, size) & (slots - 1);
        while (seen[slot].at != NULL && (seen[slot].size != size || memcmp(seen[slot].at, at, (size_t)size) != 0))
            slot = (slot + 1) & (slots - 1);
        if (seen[slot].at == NULL) {
            seen[slot] = (Span){at, size};
            found[1]++;
            Py_ssize_t length = characters(at, size);
            if (length > found[2]) found[2] = length;
        }
        while (size && self->strip[at[size - 1]]) size--;
        while (size && self->strip[*at]) { at++; size--; }
        int place = known_word(self, at, size);
        if (place >= 0) counts[place] += 1.0;
    }
    PyMem_Free(seen);
    return 0;
}

static int sort_distinct(uint32_t *values, Py_ssize_t *count, int bits) {  /* in place, by radix */
    Py_ssize_t n = *count;
    uint32_t *other = PyMem_Malloc((size_t)(n ? n : 1) * sizeof(uint32_t)), *from = values, *to = other;
    if (other == NULL) { PyErr_NoMemory(); return -1; }
    for (int shift = 0; shift < bits; shift += 9) {
        uint32_t starts[513] = {0};
        for (Py_ssize_t i = 0; i < n; i++) starts[(from[i] >> shift & 511) + 1]++;
        for (int digit = 0; digit < 512; digit++) starts[digit + 1] += starts[digit];
        for (Py_ssize_t i = 0; i < n; i++) to[starts[from[i] >> shift & 511]++] = from[i];
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    Py_ssize_t kept = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (i == 0 || from[i] != from[i - 1]) other == from ? (values[kept++] = from[i]) : (from[kept++] = from[i]);
    PyMem_Free(other);
    *count = kept;
    return 0;
}

/* Sorted distinct buckets of words, pairs and n-grams of " joined " as int64. */
static PyObject *buckets_of(const Scanner *self, Span joined) {
    Py_ssize_t count = joined.size + 2, most = count + count; /* words and pairs: at most one each per two bytes */
    for (Py_ssize_t gram = 0; gram < self->gram_count; gram++) most += count;
    uint64_t *sums = PyMem_Malloc((size_t)(2 * count + 2) * sizeof(uint64_t));
    uint32_t *found = PyMem_Malloc((size_t)most * sizeof(uint32_t));
    PyObject *made = NULL;
    if (sums == NULL || found == NULL) { PyErr_NoMemory(); goto done; }
    uint64_t *undo = sums + count + 1, power = 1, back = 1;
    sums[0] = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        uint8_t byte = i == 0 || i == count - 1 ? ' ' : joined.at[i - 1];
        sums[i + 1] = sums[i] + self->mix[byte] * power;
        undo[i] = back;
        power *= self->multiplier;
        back *= self->inverse;
    }
    Py_ssize_t size = 0;
#define KEEP(hash)                                                                      \
    do {                                                                                \
        uint64_t h = (hash);                                                            \
        h = (h ^ h >> 32) * self->finish;                                               \
        found[size++] = (uint32_t)(h >> (64 - self->bits));                             \
    } while (0)
    for (Py_ssize_t i = 1, before = -1; i < count - 1;) {
        if (!self->word_byte[joined.at[i - 1]]) { i++; continue; }
        Py_ssize_t start = i;
        while (i < count - 1 && self->word_byte[joined.at[i - 1]]) i++;
        KEEP((sums[i] - sums[start]) * undo[start]);
        if (before >= 0) KEEP((sums[i] - sums[before]) * undo[before] + self->pair_salt);
        before = start;
    }
    for (Py_ssize_t gram = 0; gram < self->gram_count; gram++) {
        Py_ssize_t length = self->grams[gram];
        uint64_t salt = self->gram_salt * (uint64_t)length;
        if (count > length)
            for (Py_ssize_t i = 0; i + length <= count; i++) KEEP((sums[i + length] - sums[i]) * undo[i] + salt);
    }
#undef KEEP
    if (sort_distinct(found, &size, self->bits) < 0) goto done;
    made = PyBytes_FromStringAndSize(NULL, size * (Py_ssize_t)sizeof(int64_t));
    if (made == NULL) goto done;
    char *out = PyBytes_AsString(made);
    for (Py_ssize_t i = 0; i < size; i++) {
        int64_t bucket = found[i];
        memcpy(out + i * (Py_ssize_t)sizeof bucket, &bucket, sizeof bucket);
    }
done:
    PyMem_Free(sums);
    PyMem_Free(found);
    return made;
}

static int span_of(PyObject *bytes, Span *span) {
    char *at;
    if (PyBytes_AsStringAndSize(bytes, &at, &span->size) < 0) return -1;
    span->at = (const uint8_t *)at;
    return 0;
}

static PyObject *scanner_buckets(Scanner *self, PyObject *bytes) {
    Span joined;
    return span_of(bytes, &joined) < 0 ? NULL : buckets_of(self, joined);
}

/* (options, decimals, sizes) as Python read them, of a text that is not ASCII */
static Py_ssize_t numbers_given(PyObject *given, double *sizes, Py_ssize_t *decimals, Py_ssize_t *found_options) {
    PyObject *list;
    if (!PyArg_ParseTuple(given, "nnO!", found_options, decimals, &PyList_Type, &list)) return -1;
    Py_ssize_t count = PyList_Size(list);
    if (count > MOST_NUMBERS) { PyErr_SetString(PyExc_ValueError, "too many numbers"); return -1; }
    for (Py_ssize_t i = 0; i < count; i++) {
        sizes[i] = PyFloat_AsDouble(PyList_GetItem(list, i));
        if (sizes[i] == -1.0 && PyErr_Occurred()) return -1;
    }
    return count;
}

static PyObject *scanner_scan(Scanner *self, PyObject *arguments) {
    PyObject *shape, *raw, *joined_bytes, *given;
    Py_ssize_t whole, decimals = 0, found_options = 0, words[3];
    Span seen, joined;
    if (!PyArg_ParseTuple(arguments, "O!nO!O!O", &PyList_Type, &shape, &whole, &PyBytes_Type, &raw, &PyBytes_Type,
                          &joined_bytes, &given))
        return NULL;
    if (span_of(raw, &seen) < 0 || span_of(joined_bytes, &joined) < 0) return NULL;
    double sizes[MOST_NUMBERS];
    Py_ssize_t numbers = given == Py_None ? numbers_of(seen, sizes, &decimals)
                                          : numbers_given(given, sizes, &decimals, &found_options);
    if (numbers < 0) return NULL;
    if (given == Py_None) found_options = options(seen);
    Py_ssize_t shaped = PyList_Size(shape), width = shaped + TEXT_NUMBERS + self->class_count + self->word_count;
    double *row = PyMem_Calloc((size_t)width, sizeof(double)), *at = row;
    if (row == NULL) return PyErr_NoMemory();
    PyObject *dense = NULL, *buckets = NULL, *made = NULL;
    if (words_of(self, joined, row + shaped + TEXT_NUMBERS + self->class_count, words) < 0) goto done;
    for (Py_ssize_t i = 0; i < shaped; i++) {
        *at = PyFloat_AsDouble(PyList_GetItem(shape, i));
        if (*at++ == -1.0 && PyErr_Occurred()) goto done;
    }
    Py_ssize_t lines = 0, asked = 0, stops = 0, slashes = 0, dollars = 0, last_line = 0, letters;
    double *spelled = row + shaped + TEXT_NUMBERS;
    for (Py_ssize_t i = 0; i < seen.size; i++) {
        uint8_t byte = seen.at[i];
        spelled[self->classes[byte]] += 1.0;
        last_line += begins_character(byte);
        switch (byte) {
        case '\n': lines++; last_line = 0; break;
        case '?': asked++; break;
        case '.': stops += i + 1 < seen.size && (seen.at[i + 1] == ' ' || seen.at[i + 1] == '\n'); break;
        case '\\': slashes++; break;
        case '$': dollars++; break;
        default: break;
        }
    }
    for (Py_ssize_t i = 0; i < self->class_count; i++) spelled[i] /= (double)(seen.size ? seen.size : 1);
    letters = characters(joined.at, joined.size) - (words[0] ? words[0] - 1 : 0);
    double count = words[0] ? (double)words[0] : 1.0, largest = 0.0, total = 0.0;
    for (Py_ssize_t i = 0; i < numbers; i++) {
        if (sizes[i] > largest) largest = sizes[i];
        total += sizes[i];
    }
#define AT_MOST(most, value) ((value) < (most) ? (double)(value) : (double)(most))
    *at++ = log1p((double)whole);
    *at++ = log1p((double)words[0]);
    *at++ = log1p((double)lines);
    *at++ = (double)letters / count;
    *at++ = AT_MOST(64, words[2]);
    *at++ = (double)words[1] / count;
    *at++ = log1p((double)last_line);
    *at++ = lines || (seen.size && seen.at[0] == '(') ? (double)found_options : 0.0;
    *at++ = AT_MOST(16, occurrences(seen, "__"));
    *at++ = (double)numbers;
    *at++ = (double)numbers / count;
    *at++ = largest;
    *at++ = total / (numbers ? (double)numbers : 1.0);
    *at++ = numbers ? sizes[numbers - 1] : 0.0;
    *at++ = (double)decimals;
    *at++ = count / (double)(1 + stops + asked);
    *at++ = AT_MOST(16, asked);
    *at++ = AT_MOST(32, slashes + dollars / 2);
    *at++ = AT_MOST(16, occurrences(seen, "```"));
    *at++ = AT_MOST(16, occurrences(seen, "://"));
    at += self->class_count;
    for (Py_ssize_t i = 0; i < self->word_count; i++) at[i] = AT_MOST(8, at[i]);
#undef AT_MOST
    dense = PyBytes_FromStringAndSize(NULL, width * (Py_ssize_t)sizeof(float));
    if (dense == NULL) goto done;
    char *out = PyBytes_AsString(dense);
    for (Py_ssize_t i = 0; i < width; i++) {
        float value = (float)row[i];
        memcpy(out + i * (Py_ssize_t)sizeof value, &value, sizeof value);
    }
    buckets = buckets_of(self, joined);
    if (buckets != NULL) made = PyTuple_Pack(2, dense, buckets);
done:
    Py_XDECREF(dense);
    Py_XDECREF(buckets);
    PyMem_Free(row);
    return made;
}

static void scanner_free(Scanner *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    for (Py_ssize_t i = 0; self->words != NULL && i < self->word_count; i++) PyMem_Free(self->words[i]);
    PyMem_Free(self->words);
    PyMem_Free(self->word_sizes);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int take_words(Scanner *self, PyObject *words) {
    Py_ssize_t count = PyTuple_Size(words);
    if (count < 0 || 2 * count > WORD_SLOTS) {
        if (count >= 0) PyErr_SetString(PyExc_ValueError, "too many words");
        return -1;
    }
    self->words = PyMem_Calloc((size_t)count + 1, sizeof *self->words);
    self->word_sizes = PyMem_Calloc((size_t)count + 1, sizeof *self->word_sizes);
    if (self->words == NULL || self->word_sizes == NULL) { PyErr_NoMemory(); return -1; }
    self->word_count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        Span word;
        if (span_of(PyTuple_GetItem(words, i), &word) < 0) return -1;
        if ((self->words[i] = PyMem_Malloc((size_t)word.size + 1)) == NULL) { PyErr_NoMemory(); return -1; }
        memcpy(self->words[i], word.at, (size_t)word.size);
        self->word_sizes[i] = (size_t)word.size;
        uint32_t slot = span_hash(word.at, word.size) & (WORD_SLOTS - 1);
        while (self->slots[slot]) slot = (slot + 1) & (WORD_SLOTS - 1);
        self->slots[slot] = (uint16_t)(i + 1);
    }
    return 0;
}

static PyObject *scanner_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    static char *names[] = {"bits", "grams", "mix", "word_bytes", "constants", "classes", "class_count", "words",
                            "strip", NULL};
    int bits;
    PyObject *grams, *words;
    Py_buffer mix = {0}, word_bytes = {0}, constants = {0}, classes = {0}, strip = {0};
    Py_ssize_t class_count;
    Scanner *self = NULL;
    int right = PyArg_ParseTupleAndKeywords(arguments, named, "iO!y*y*y*y*nO!y*", names, &bits, &PyTuple_Type, &grams,
                                            &mix, &word_bytes, &constants, &classes, &class_count, &PyTuple_Type,
                                            &words, &strip);
    if (!right) return NULL;
    right = bits >= 1 && bits <= 27 && mix.len == sizeof self->mix && word_bytes.len == 256 && classes.len == 256
            && constants.len == 5 * (Py_ssize_t)sizeof(uint64_t) && PyTuple_Size(grams) <= MOST_GRAMS
            && class_count > 0;
    for (int byte = 0; right && byte < 256; byte++) right = ((uint8_t *)classes.buf)[byte] < class_count;
    if (!right) { PyErr_SetString(PyExc_ValueError, "tables of another shape"); goto done; }
    self = PyObject_New(Scanner, type);
    if (self == NULL) goto done;
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    const uint64_t *constant = constants.buf;
    self->multiplier = constant[0];
    self->inverse = constant[1];
    self->finish = constant[2];
    self->pair_salt = constant[3];
    self->gram_salt = constant[4];
    self->bits = bits;
    self->class_count = class_count;
    memcpy(self->mix, mix.buf, sizeof self->mix);
    memcpy(self->word_byte, word_bytes.buf, 256);
    memcpy(self->classes, classes.buf, 256);
    for (Py_ssize_t i = 0; i < strip.len; i++) self->strip[((uint8_t *)strip.buf)[i]] = 1;
    self->gram_count = PyTuple_Size(grams);
    for (Py_ssize_t i = 0; i < self->gram_count; i++) {
        self->grams[i] = PyLong_AsSsize_t(PyTuple_GetItem(grams, i));
        if (self->grams[i] < 1) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "an n-gram has a byte at least");
            Py_CLEAR(self);
            goto done;
        }
    }
    if (take_words(self, words) < 0) Py_CLEAR(self);
done:
    PyBuffer_Release(&mix);
    PyBuffer_Release(&word_bytes);
    PyBuffer_Release(&constants);
    PyBuffer_Release(&classes);
    PyBuffer_Release(&strip);
    return (PyObject *)self;
}

static PyMethodDef scanner_methods[] = {
    {"buckets", (PyCFunction)scanner_buckets, METH_O, NULL},
    {"scan", (PyCFunction)scanner_scan, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_new, scanner_new}, {Py_tp_dealloc, scanner_free}, {Py_tp_methods, scanner_methods}, {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "predictors._text_scan.Scanner", .basicsize = sizeof(Scanner), .flags = Py_TPFLAGS_DEFAULT,
    .slots = scanner_slots,
};

static int fill(PyObject *module) {
    PyObject *type = PyType_FromSpec(&scanner_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Scanner", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_text_scan", .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__text_scan(void) { return PyModuleDef_Init(&definition); }
