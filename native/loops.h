// Loops over the pixels of a picture. They use no Python objects and allocate nothing, so threads may run them on parts
// of one picture at a time. loops.cpp is compiled once per instruction set; module.cpp chooses one.
#pragma once

#include <cstddef>
#include <cstdint>

// Types of samples and of masks; the values are indices of the tables in Loops.
enum Sample { UINT8, UINT16, FLOAT32, SAMPLES };

// Rows of samples: neighbours within a row are adjacent, rows are `stride` bytes apart.
struct Rows {
    char *data;
    std::ptrdiff_t stride;
};

// The arguments of the three loops are described in edge_harmony/pictures/kernels.py.

struct ChangePixels {
    Rows pixels, mask;
    std::ptrdiff_t rows, columns;
    const float *grid;
    std::ptrdiff_t grid_height, grid_width;
    const std::ptrdiff_t *above;
    const float *down;
    const std::ptrdiff_t *cells, *starts;
    std::ptrdiff_t segments, longest;  // the latter: pixels of the longest segment, at least PART
    const float *fractions;
    float full, peak, half;
    float *scratch;  // change_scratch(columns, longest, grid_width) floats
};

struct ShrinkRows {
    Rows picture;
    std::ptrdiff_t height, width;
    const double *rows, *columns;
    std::ptrdiff_t output_columns, channels;
    Rows shrunk;
    std::ptrdiff_t first, last;
    float *scratch;  // width * channels floats
};

struct PasteRows {
    Rows foreground, mask, result;
    std::ptrdiff_t rows, columns;
    float full, half;
};

constexpr std::ptrdiff_t BLOCK = 16;  // pixels: the widest vector of floats
constexpr std::ptrdiff_t PART = 512;   // pixels of a row that are worked on at a time, so that they stay in the cache

constexpr std::ptrdiff_t change_scratch(std::ptrdiff_t columns, std::ptrdiff_t longest, std::ptrdiff_t grid_width) {
    return 7 * (longest + BLOCK) + 12 * (grid_width + 1) + columns + BLOCK;
}

struct Loops {
    const char *name;
    void (*change[SAMPLES][SAMPLES])(const ChangePixels &);  // [of pixels][of the mask]
    void (*shrink[SAMPLES])(const ShrinkRows &);
    void (*paste[SAMPLES][SAMPLES])(const PasteRows &);  // [of pictures][of the mask]
};

extern const Loops loops_baseline;
#ifdef HAS_AVX2
extern const Loops loops_avx2, loops_avx512;
#endif
