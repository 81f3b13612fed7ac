// Stand-ins for what examples/android calls of Android's Bitmap and Color: pixels as 0xAARRGGBB, row by row.
// https://developer.android.com/reference/android/graphics/Bitmap
package android.graphics

class Bitmap(val width: Int, val height: Int, private val pixels: IntArray) {
    enum class Config { ARGB_8888 }

    fun getPixels(target: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        for (row in 0 until height) pixels.copyInto(target, offset + row * stride, at(x, y + row), at(x, y + row) + width)
    }

    fun setPixels(source: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        for (row in 0 until height) source.copyInto(pixels, at(x, y + row), offset + row * stride, offset + row * stride + width)
    }

    @Suppress("UNUSED_PARAMETER")
    fun copy(config: Config, isMutable: Boolean) = Bitmap(width, height, pixels.copyOf())

    private fun at(x: Int, y: Int) = y * width + x
}

object Color {
    @JvmStatic fun red(color: Int) = color shr 16 and 255
}
