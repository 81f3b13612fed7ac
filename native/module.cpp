// edge_harmony.pictures._native: the loops of loops.h for Python. Arguments are checked, then the lock (GIL) is released.
// With Python 3.11 and later only the stable ABI is used: https://docs.python.org/3/c-api/stable.html
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdlib>

#include "loops.h"

#if defined(_MSC_VER) && defined(HAS_AVX2)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace {

using Index = std::ptrdiff_t;

constexpr int MOST_VARIANTS = 3;
const Loops *variants[MOST_VARIANTS];  // those that this CPU can run; a later one is faster
int variant_count = 0;
const Loops *chosen = nullptr;

#ifdef HAS_AVX2
#ifdef _MSC_VER
// CPUID leaves 1 and 7, and XCR0 for the registers that the system saves: Intel's manual, volume 1, 14.3 and 15.2
struct Cpu {
    bool avx2, avx512;
};

Cpu cpu() {
    int one[4], seven[4];
    __cpuid(one, 0);
    if (one[0] < 7) return {false, false};
    __cpuid(one, 1);
    __cpuidex(seven, 7, 0);
    const bool saves = (one[2] >> 27 & 1) != 0;
    const unsigned long long registers = saves ? _xgetbv(0) : 0;
    const bool avx2 = (registers & 6) == 6 && (one[2] >> 12 & 1) && (one[2] >> 28 & 1) && (seven[1] >> 5 & 1);
    const unsigned wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
    return {avx2, avx2 && (registers & 0xe6) == 0xe6 && (static_cast<unsigned>(seven[1]) & wanted) == wanted};
}

bool has_avx2() { return cpu().avx2; }
bool has_avx512() { return cpu().avx512; }
#else
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

void find_variants() {
    variant_count = 0;
    variants[variant_count++] = &loops_baseline;
#ifdef HAS_AVX2
    if (has_avx2()) variants[variant_count++] = &loops_avx2;
    if (has_avx512()) variants[variant_count++] = &loops_avx512;
#endif
    chosen = variants[variant_count - 1];
}

// The memory of an array. take() sets Python's error and returns false if it is not what is wanted.
class Array {
  public:
    Array() = default;
    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;
    ~Array() {
        if (taken) PyBuffer_Release(&view);
    }

    // `formats` are letters of the module struct; all but the first `loose` axes must be without gaps.
    bool take(PyObject *array, const char *name, const char *formats, int dimensions, int loose, bool written = false) {
        if (PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT | (written ? PyBUF_WRITABLE : 0))) return false;
        taken = true;
        format = view.format && view.format[0] && !view.format[1] ? view.format[0] : '?';
        bool known = false;
        for (const char *letter = formats; *letter; letter++) known = known || *letter == format;
        if (!known) {
            PyErr_Format(PyExc_TypeError, "%s has the type %s of the module struct; wanted: one of %s", name,
                         view.format ? view.format : "B", formats);
            return false;
        }
        if (view.ndim != dimensions) {
            PyErr_Format(PyExc_ValueError, "%s has %d axes; wanted: %d", name, view.ndim, dimensions);
            return false;
        }
        Py_ssize_t step = view.itemsize;
        for (int axis = dimensions - 1; axis >= loose; axis--) {
            if (view.shape[axis] > 1 && view.strides[axis] != step) {
                PyErr_Format(PyExc_ValueError, "%s has gaps; copy it to a contiguous array", name);
                return false;
            }
            step *= view.shape[axis];
        }
        return true;
    }

    Sample sample() const { return format == 'B' ? UINT8 : format == 'H' ? UINT16 : FLOAT32; }
    Rows rows() const { return {static_cast<char *>(view.buf), view.strides[0]}; }
    Index size(int axis) const { return view.shape[axis]; }
    template <typename T> const T *values() const { return static_cast<const T *>(view.buf); }

  private:
    Py_buffer view = {};
    char format = '?';
    bool taken = false;
};

// Memory for the time of a call.
class Scratch {
  public:
    explicit Scratch(Index floats) : memory(static_cast<float *>(std::malloc(sizeof(float) * (floats + 1)))) {
        if (!memory) PyErr_NoMemory();
    }
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    ~Scratch() { std::free(memory); }

    float *const memory;
};

constexpr const char *SAMPLES_ONLY = "BHf";
constexpr const char *INDICES = sizeof(long) == sizeof(Index) ? "lq" : "q";
static_assert(sizeof(long long) == sizeof(Index) || sizeof(long) == sizeof(Index), "no integer is as long as an address");

PyObject *refused(const char *reason) {
    PyErr_SetString(PyExc_ValueError, reason);
    return nullptr;
}

bool within(const Index *values, Index count, Index end) {
    for (Index k = 0; k < count; k++)
        if (values[k] < 0 || values[k] >= end) return false;
    return true;
}

PyObject *change_pixels(PyObject *, PyObject *arguments) {
    PyObject *objects[8];
    ChangePixels call = {};
    if (!PyArg_ParseTuple(arguments, "OOOOOOOOfff", &objects[0], &objects[1], &objects[2], &objects[3], &objects[4],
                          &objects[5], &objects[6], &objects[7], &call.full, &call.peak, &call.half))
        return nullptr;
    Array pixels, mask, grid, above, down, cells, starts, fractions;
    if (!pixels.take(objects[0], "pixels", SAMPLES_ONLY, 3, 1, true) || !mask.take(objects[1], "mask", SAMPLES_ONLY, 2, 1) ||
        !grid.take(objects[2], "grid", "f", 3, 0) || !above.take(objects[3], "above", INDICES, 1, 0) ||
        !down.take(objects[4], "down", "f", 1, 0) || !cells.take(objects[5], "cells", INDICES, 1, 0) ||
        !starts.take(objects[6], "starts", INDICES, 1, 0) || !fractions.take(objects[7], "fractions", "f", 1, 0))
        return nullptr;
    call.pixels = pixels.rows(), call.mask = mask.rows();
    call.rows = mask.size(0), call.columns = mask.size(1);
    call.grid = grid.values<float>(), call.grid_height = grid.size(0), call.grid_width = grid.size(1);
    call.above = above.values<Index>(), call.down = down.values<float>();
    call.cells = cells.values<Index>(), call.starts = starts.values<Index>(), call.segments = cells.size(0);
    call.fractions = fractions.values<float>();
    if (pixels.size(0) != call.rows || pixels.size(1) != call.columns || pixels.size(2) != 3 || grid.size(2) != 12 ||
        above.size(0) != call.rows || down.size(0) != call.rows || starts.size(0) != call.segments + 1 ||
        fractions.size(0) != call.columns)
        return refused("the shapes of pixels, mask, grid and axes do not fit");
    if (!call.rows || !call.columns) Py_RETURN_NONE;
    if (!within(call.above, call.rows, call.grid_height) || !within(call.cells, call.segments, call.grid_width))
        return refused("a cell is outside the grid");
    if (!call.segments || call.starts[0] != 0 || call.starts[call.segments] != call.columns)
        return refused("the segments are not the columns");
    call.longest = PART;
    for (Index segment = 0; segment < call.segments; segment++) {
        const Index length = call.starts[segment + 1] - call.starts[segment];
        if (length <= 0) return refused("a segment is empty");
        if (segment && call.cells[segment] < call.cells[segment - 1]) return refused("cells run backwards");
        call.longest = length > call.longest ? length : call.longest;
    }
    Scratch scratch(change_scratch(call.columns, call.longest, call.grid_width));
    if (!scratch.memory) return nullptr;
    call.scratch = scratch.memory;
    Py_BEGIN_ALLOW_THREADS;
    chosen->change[pixels.sample()][mask.sample()](call);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

// Whether bounds cut a length into parts that are not empty; the last one may be past the end by rounding.
bool are_cuts(const double *bounds, Index parts, Index length) {
    for (Index k = 0; k < parts; k++)
        if (!(bounds[k] >= 0 && bounds[k] < bounds[k + 1] && bounds[k] < double(length))) return false;
    return bounds[parts] < double(length) + 1;
}

PyObject *shrink_rows(PyObject *, PyObject *arguments) {
    PyObject *objects[4];
    ShrinkRows call = {};
    if (!PyArg_ParseTuple(arguments, "OOOnOnn", &objects[0], &objects[1], &objects[2], &call.channels, &objects[3],
                          &call.first, &call.last))
        return nullptr;
    Array picture, rows, columns, shrunk;
    if (!picture.take(objects[0], "picture", SAMPLES_ONLY, 2, 1) || !rows.take(objects[1], "rows", "d", 1, 0) ||
        !columns.take(objects[2], "columns", "d", 1, 0) || !shrunk.take(objects[3], "shrunk", "f", 2, 1, true))
        return nullptr;
    if (call.channels < 1 || picture.size(1) % call.channels) return refused("the channels do not fit the picture");
    call.picture = picture.rows(), call.height = picture.size(0), call.width = picture.size(1) / call.channels;
    call.rows = rows.values<double>(), call.columns = columns.values<double>();
    call.output_columns = columns.size(0) - 1, call.shrunk = shrunk.rows();
    if (rows.size(0) != shrunk.size(0) + 1 || call.output_columns * call.channels != shrunk.size(1))
        return refused("rows and columns do not fit the result");
    if (call.first < 0 || call.last > shrunk.size(0)) return refused("the rows are outside the result");
    if (!are_cuts(call.rows, shrunk.size(0), call.height) || !are_cuts(call.columns, call.output_columns, call.width))
        return refused("rows or columns do not cut the picture into parts");
    Scratch scratch(picture.size(1));
    if (!scratch.memory) return nullptr;
    call.scratch = scratch.memory;
    Py_BEGIN_ALLOW_THREADS;
    chosen->shrink[picture.sample()](call);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *paste_rows(PyObject *, PyObject *arguments) {
    PyObject *objects[3];
    PasteRows call = {};
    if (!PyArg_ParseTuple(arguments, "OOffO", &objects[0], &objects[1], &call.full, &call.half, &objects[2]))
        return nullptr;
    Array foreground, mask, result;
    if (!foreground.take(objects[0], "foreground", SAMPLES_ONLY, 2, 1) || !mask.take(objects[1], "mask", SAMPLES_ONLY, 2, 1) ||
        !result.take(objects[2], "result", SAMPLES_ONLY, 2, 1, true))
        return nullptr;
    if (foreground.sample() != result.sample()) return refused("foreground and result differ in type");
    call.foreground = foreground.rows(), call.mask = mask.rows(), call.result = result.rows();
    call.rows = mask.size(0), call.columns = mask.size(1);
    if (foreground.size(0) != call.rows || result.size(0) != call.rows || foreground.size(1) != 3 * call.columns ||
        result.size(1) != 3 * call.columns)
        return refused("the shapes of foreground, mask and result do not fit");
    Py_BEGIN_ALLOW_THREADS;
    chosen->paste[foreground.sample()][mask.sample()](call);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *instructions(PyObject *, PyObject *) {
    PyObject *names = PyTuple_New(variant_count);
    for (int k = 0; names && k < variant_count; k++) {
        PyObject *name = PyUnicode_FromString(variants[k]->name);
        if (!name || PyTuple_SetItem(names, k, name)) {
            Py_DECREF(names);
            return nullptr;
        }
    }
    return names;
}

PyObject *use(PyObject *, PyObject *name) {
    for (int k = 0; k < variant_count; k++) {
        PyObject *known = PyUnicode_FromString(variants[k]->name);
        if (!known) return nullptr;
        const int equal = PyObject_RichCompareBool(known, name, Py_EQ);
        Py_DECREF(known);
        if (equal < 0) return nullptr;
        if (equal) {
            chosen = variants[k];
            Py_RETURN_NONE;
        }
    }
    return refused("this CPU has no such instructions");
}

PyMethodDef methods[] = {
    {"change_pixels", change_pixels, METH_VARARGS, nullptr},
    {"shrink_rows", shrink_rows, METH_VARARGS, nullptr},
    {"paste_rows", paste_rows, METH_VARARGS, nullptr},
    {"instructions", instructions, METH_NOARGS, nullptr},
    {"use", use, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
    find_variants();
    return PyModule_Create(&definition);
}
