// Compiled once per instruction set, whose name is the macro INSTRUCTIONS. Everything here is local to this file, and no
// template of the standard library is used: of such a function the linker keeps one copy, perhaps that for a newer CPU.
#include "loops.h"

#include <cmath>

#define JOINED(a, b) a##b
#define LOOPS(instructions) JOINED(loops_, instructions)
#define QUOTED(text) #text
#define NAME(instructions) QUOTED(instructions)

#ifdef _MSC_VER
#define RESTRICT __restrict
#else
#define RESTRICT __restrict__
#endif

namespace {

using Index = std::ptrdiff_t;

// a b + c, rounded once where the CPU can. Compilers may not choose by themselves (-ffp-contract=off): results would
// depend on the compiler.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || (defined(_MSC_VER) && defined(__AVX2__))
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline double fused(double a, double b, double c) { return std::fma(a, b, c); }
#else
inline float fused(float a, float b, float c) { return a * b + c; }
inline double fused(double a, double b, double c) { return a * b + c; }
#endif

inline double smaller(double a, double b) { return a < b ? a : b; }
inline double larger(double a, double b) { return a > b ? a : b; }

// Within [low, high]; low for NaN.
inline float limited(float value, float low, float high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

template <typename T> inline T to_sample(float value) { return static_cast<T>(static_cast<std::int32_t>(value)); }
template <> inline float to_sample<float>(float value) { return value; }

template <typename T> inline T *row_of(const Rows &rows, Index row) {
    return reinterpret_cast<T *>(rows.data + row * rows.stride);
}

template <typename T> void load(const T *RESTRICT samples, float factor, Index count, float *RESTRICT values) {
    for (Index x = 0; x < count; x++) values[x] = static_cast<float>(samples[x]) * factor;
}

template <typename T>
void load_pixels(const T *RESTRICT pixels, Index count, float *RESTRICT reds, float *RESTRICT greens,
                 float *RESTRICT blues) {
    for (Index x = 0; x < count; x++) {
        reds[x] = static_cast<float>(pixels[3 * x]);
        greens[x] = static_cast<float>(pixels[3 * x + 1]);
        blues[x] = static_cast<float>(pixels[3 * x + 2]);
    }
}

template <typename T>
void store_pixels(const float *RESTRICT reds, const float *RESTRICT greens, const float *RESTRICT blues, Index count,
                  T *RESTRICT pixels) {
    for (Index x = 0; x < count; x++) {
        pixels[3 * x] = to_sample<T>(reds[x]);
        pixels[3 * x + 1] = to_sample<T>(greens[x]);
        pixels[3 * x + 2] = to_sample<T>(blues[x]);
    }
}

// y = x + m (A x + t) for pixels between two cells: `a` is the transform at the left one, `b` the difference of the
// right one. Some pixels more than `count` are computed, up to a whole BLOCK: without vectors, the few that remain would
// take as long as the rest.
void change_segment(const float *a, const float *b, const float *RESTRICT fractions, const float *RESTRICT weights,
                    const float *RESTRICT reds, const float *RESTRICT greens, const float *RESTRICT blues,
                    float *RESTRICT new_reds, float *RESTRICT new_greens, float *RESTRICT new_blues, Index count,
                    float peak, float half) {
    const float a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4], a5 = a[5], a6 = a[6], a7 = a[7], a8 = a[8];
    const float b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3], b4 = b[4], b5 = b[5], b6 = b[6], b7 = b[7], b8 = b[8];
    const float t0 = a[9], t1 = a[10], t2 = a[11], s0 = b[9], s1 = b[10], s2 = b[11];
    for (const float *const end = reds + count; reds < end;) {
        for (int x = 0; x < BLOCK; x++) {
            const float f = fractions[x], m = weights[x], r = reds[x], g = greens[x], b_ = blues[x];
            float u = fused(f, s0, t0), v = fused(f, s1, t1), w = fused(f, s2, t2);
            u = fused(fused(f, b0, a0), r, u), v = fused(fused(f, b3, a3), r, v), w = fused(fused(f, b6, a6), r, w);
            u = fused(fused(f, b1, a1), g, u), v = fused(fused(f, b4, a4), g, v), w = fused(fused(f, b7, a7), g, w);
            u = fused(fused(f, b2, a2), b_, u), v = fused(fused(f, b5, a5), b_, v), w = fused(fused(f, b8, a8), b_, w);
            new_reds[x] = limited(fused(m, u, r), 0.0f, peak) + half;
            new_greens[x] = limited(fused(m, v, g), 0.0f, peak) + half;
            new_blues[x] = limited(fused(m, w, b_), 0.0f, peak) + half;
        }
        fractions += BLOCK, weights += BLOCK, reds += BLOCK, greens += BLOCK, blues += BLOCK;
        new_reds += BLOCK, new_greens += BLOCK, new_blues += BLOCK;
    }
}

template <typename T, typename M> void change(const ChangePixels &call) {
    const Index wide = 12 * call.grid_width, columns = call.columns, room = call.longest + BLOCK;
    const Index from = 12 * call.cells[0], after = 12 * (call.cells[call.segments - 1] + 2);
    float *const weights = call.scratch, *const reds = weights + room, *const greens = reds + room;
    float *const blues = greens + room, *const new_reds = blues + room, *const new_greens = new_reds + room;
    float *const new_blues = new_greens + room, *const line = new_blues + room, *const fractions = line + wide + 12;
    load(call.fractions, 1.0f, columns, fractions);
    for (Index row = 0; row < call.rows; row++) {
        const float *const upper = call.grid + call.above[row] * wide;
        const float *const lower = call.above[row] + 1 < call.grid_height ? upper + wide : upper;
        const float down = call.down[row];
        for (Index k = from; k < after && k < wide; k++) line[k] = fused(down, lower[k] - upper[k], upper[k]);
        for (Index k = wide; k < wide + 12; k++) line[k] = line[k - 12];
        for (Index segment = 0; segment < call.segments;) {
            const Index begin = call.starts[segment];
            Index last = segment + 1;
            while (last < call.segments && call.starts[last + 1] - begin <= PART) last++;
            const Index count = call.starts[last] - begin;
            T *const pixels = row_of<T>(call.pixels, row) + 3 * begin;
            load(row_of<const M>(call.mask, row) + begin, call.full, count, weights);
            load_pixels(pixels, count, reds, greens, blues);
            for (; segment < last; segment++) {
                const float *const left = line + 12 * call.cells[segment], *const right = left + 12;
                float a[12], b[12];
                for (int k = 0; k < 9; k++) a[k] = left[k], b[k] = right[k] - left[k];
                for (int k = 9; k < 12; k++) a[k] = left[k] * call.peak, b[k] = fused(right[k], call.peak, -a[k]);
                const Index x = call.starts[segment] - begin;  // what is computed past the end, the next segment replaces
                change_segment(a, b, fractions + begin + x, weights + x, reds + x, greens + x, blues + x, new_reds + x,
                               new_greens + x, new_blues + x, call.starts[segment + 1] - call.starts[segment], call.peak,
                               call.half);
            }
            store_pixels(new_reds, new_greens, new_blues, count, pixels);
        }
    }
}

template <typename T> void add(const T *RESTRICT samples, float weight, Index count, float *RESTRICT total) {
    for (Index x = 0; x < count; x++) total[x] = fused(weight, static_cast<float>(samples[x]), total[x]);
}

// The average of the columns first to last, of which the outer ones have weights of their own. CHANNELS independent
// sums, so that no addition waits for the one before.
template <int CHANNELS>
void average(const float *total, Index stride, Index first, Index last, double of_first, double share, double of_last,
             float *shrunk) {
    double sum[CHANNELS];
    for (int k = 0; k < CHANNELS; k++)
        sum[k] = fused(of_last, double(total[last * stride + k]), of_first * double(total[first * stride + k]));
    for (Index x = first + 1; x < last; x++)
        for (int k = 0; k < CHANNELS; k++) sum[k] = fused(share, double(total[x * stride + k]), sum[k]);
    for (int k = 0; k < CHANNELS; k++) shrunk[k] = static_cast<float>(sum[k]);
}

template <typename T> void shrink(const ShrinkRows &call) {
    const Index channels = call.channels, samples = call.width * channels;
    float *const total = call.scratch;
    for (Index row = call.first; row < call.last; row++) {
        const double top = call.rows[row], bottom = call.rows[row + 1];
        for (Index x = 0; x < samples; x++) total[x] = 0;
        for (Index y = static_cast<Index>(top); y < bottom && y < call.height; y++) {
            const double covered = smaller(bottom, y + 1.0) - larger(top, double(y));
            add(row_of<const T>(call.picture, y), static_cast<float>(covered / (bottom - top)), samples, total);
        }
        float *const shrunk = row_of<float>(call.shrunk, row);
        for (Index column = 0; column < call.output_columns; column++) {
            const double left = call.columns[column], right = call.columns[column + 1], share = 1 / (right - left);
            const Index first = static_cast<Index>(left);
            const Index last = static_cast<Index>(smaller(std::ceil(right), double(call.width))) - 1;
            const double of_first = share * (smaller(right, first + 1.0) - left);
            const double of_last = last == first ? 0.0 : share * (right - last);
            float *const pixel = shrunk + column * channels;
            if (channels == 3)
                average<3>(total, 3, first, last, of_first, share, of_last, pixel);
            else
                for (Index k = 0; k < channels; k++)
                    average<1>(total + k, channels, first, last, of_first, share, of_last, pixel + k);
        }
    }
}

template <typename T>
void blend(const T *RESTRICT foreground, const float *RESTRICT weights, float half, Index count, T *RESTRICT result) {
    for (Index x = 0; x < count; x++) {
        const float back = static_cast<float>(result[x]);
        result[x] = to_sample<T>(fused(weights[x], static_cast<float>(foreground[x]) - back, back) + half);
    }
}

template <typename T, typename M> void paste(const PasteRows &call) {
    constexpr Index PIXELS = 512;  // a part of a row whose weights stay in the cache
    float weights[3 * PIXELS];
    for (Index row = 0; row < call.rows; row++)
        for (Index first = 0; first < call.columns; first += PIXELS) {
            const Index count = call.columns - first < PIXELS ? call.columns - first : PIXELS;
            const M *const mask = row_of<const M>(call.mask, row) + first;
            for (Index x = 0; x < count; x++)
                weights[3 * x] = weights[3 * x + 1] = weights[3 * x + 2] = static_cast<float>(mask[x]) * call.full;
            blend(row_of<const T>(call.foreground, row) + 3 * first, weights, call.half, 3 * count,
                  row_of<T>(call.result, row) + 3 * first);
        }
}

}  // namespace

#define FOR_MASKS(loop, T) {loop<T, std::uint8_t>, loop<T, std::uint16_t>, loop<T, float>}
#define FOR_ALL(loop) {FOR_MASKS(loop, std::uint8_t), FOR_MASKS(loop, std::uint16_t), FOR_MASKS(loop, float)}

extern const Loops LOOPS(INSTRUCTIONS);
const Loops LOOPS(INSTRUCTIONS) = {
    NAME(INSTRUCTIONS),
    FOR_ALL(change),
    {shrink<std::uint8_t>, shrink<std::uint16_t>, shrink<float>},
    FOR_ALL(paste),
};
