package org.edgeharmony.example

import android.graphics.Bitmap
import android.graphics.Color
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

/**
 * Harmonizes pictures with a network: shrink by area, predict, apply at full size.
 *
 * @param network of [Network]
 * @param size side of its working size, such as 160
 */
class Harmonizer(private val network: Network, private val size: Int) {
    /**
     * The picture in new colours; outside the mask it is unchanged.
     *
     * @param picture ARGB_8888 in sRGB, upright, at least as large as the working size
     * @param mask of the same size, white in the foreground; grays blend
     * @param strength 1 is what the network predicts, 0 leaves the picture as it is
     */
    fun harmonize(picture: Bitmap, mask: Bitmap, strength: Float = 1f): Bitmap {
        require(picture.width == mask.width && picture.height == mask.height) { "the mask must have the picture's size" }
        require(min(picture.width, picture.height) >= size) { "the picture must be at least $size x $size" }
        val composite = shrink(picture, 3) { pixel, channel -> pixel shr (16 - 8 * channel) and 255 }
        for (k in composite.indices) composite[k] = composite[k].roundToInt() / 255f
        val smallMask = shrink(mask, 1) { pixel, _ -> Color.red(pixel) }
        for (k in smallMask.indices) {
            // sums of shares are not exactly 0 or 1; thousands of such errors would add up to a background
            smallMask[k] = (smallMask[k] / 255f * (1 + 2 * CRUMB) - CRUMB).coerceIn(0f, 1f)
        }
        val grid = network.predict(composite, smallMask)
        return apply(picture, mask, grid, strength)
    }

    /** The mean of the pixels of each cell, with the shares of those on its border: `INTER_AREA` of OpenCV. */
    private fun shrink(picture: Bitmap, channels: Int, level: (Int, Int) -> Int): FloatArray {
        val (width, height) = picture.width to picture.height
        val sums = FloatArray(size * size * channels)
        val row = IntArray(width)
        val (wide, high) = width.toFloat() / size to height.toFloat() / size
        for (y in 0 until height) {
            picture.getPixels(row, 0, width, 0, y, width, 1)
            for (cellY in cells(y, high)) {
                val shareY = overlap(cellY, high, y)
                for (x in 0 until width) for (cellX in cells(x, wide)) {
                    val share = shareY * overlap(cellX, wide, x)
                    val at = (cellY * size + cellX) * channels
                    for (channel in 0 until channels) sums[at + channel] += share * level(row[x], channel)
                }
            }
        }
        for (k in sums.indices) sums[k] /= wide * high
        return sums
    }

    /** The cells that a pixel lies in, at most two, as cells are at least as large as pixels. */
    private fun cells(pixel: Int, side: Float): IntRange =
        floor(pixel / side).toInt()..min(floor((pixel + 0.9999f) / side).toInt(), size - 1)

    private fun overlap(cell: Int, side: Float, pixel: Int): Float =
        max(0f, min((cell + 1) * side, pixel + 1f) - max(cell * side, pixel.toFloat()))

    /** y = x + m (A x + t) with x in 0..1; A and t bilinear between the centres of the cells. */
    private fun apply(picture: Bitmap, mask: Bitmap, grid: FloatArray, strength: Float): Bitmap {
        val result = picture.copy(Bitmap.Config.ARGB_8888, true)
        val (width, height) = picture.width to picture.height
        val side = Math.sqrt(grid.size / 12.0).roundToInt()
        val (pixels, masked) = IntArray(width) to IntArray(width)
        val (transform, x) = FloatArray(12) to FloatArray(3)
        for (v in 0 until height) {
            result.getPixels(pixels, 0, width, 0, v, width, 1)
            mask.getPixels(masked, 0, width, 0, v, width, 1)
            val (top, down) = neighbours(v, height, side)
            for (u in 0 until width) {
                val weight = Color.red(masked[u]) / 255f
                if (weight == 0f) continue
                val (left, right) = neighbours(u, width, side)
                val corner = (top * side + left) * 12
                val below = min(top + 1, side - 1)
                val beside = min(left + 1, side - 1)
                val (cornerRight, cornerBelow) = (top * side + beside) * 12 to (below * side + left) * 12
                val opposite = (below * side + beside) * 12
                for (k in 0 until 12) {
                    val upper = grid[corner + k] + right * (grid[cornerRight + k] - grid[corner + k])
                    val lower = grid[cornerBelow + k] + right * (grid[opposite + k] - grid[cornerBelow + k])
                    transform[k] = upper + down * (lower - upper)
                }
                for (channel in 0 until 3) x[channel] = (pixels[u] shr (16 - 8 * channel) and 255) / 255f
                var changed = pixels[u] and (255 shl 24)
                for (channel in 0 until 3) {
                    var change = transform[9 + channel]
                    for (k in 0 until 3) change += transform[3 * channel + k] * x[k]
                    val level = (255 * (x[channel] + weight * strength * change)).coerceIn(0f, 255f).roundToInt()
                    changed = changed or (level shl (16 - 8 * channel))
                }
                pixels[u] = changed
            }
            result.setPixels(pixels, 0, width, 0, v, width, 1)
        }
        return result
    }

    /** The cell before a pixel's centre, and how far the pixel is on its way to the next one, 0 to 1. */
    private fun neighbours(pixel: Int, pixels: Int, cells: Int): Pair<Int, Float> {
        val position = ((pixel + 0.5f) * cells / pixels - 0.5f).coerceIn(0f, cells - 1f)
        return floor(position).toInt() to position - floor(position)
    }

    private companion object {
        const val CRUMB = 1e-5f
    }
}
