// Calls examples/android as an app does: Main GRID SIZE STRENGTH WIDTH HEIGHT PICTURE MASK RESULT; pictures are RGB bytes.
package org.edgeharmony.example

import android.content.res.AssetManager
import android.graphics.Bitmap
import java.io.File

fun main(given: Array<String>) {
    val (width, height) = given[3].toInt() to given[4].toInt()
    fun read(path: String): Bitmap {
        val bytes = File(path).readBytes()
        fun level(at: Int) = bytes[at].toInt() and 255
        val pixels = IntArray(width * height) { (255 shl 24) or (level(3 * it) shl 16) or (level(3 * it + 1) shl 8) or level(3 * it + 2) }
        return Bitmap(width, height, pixels)
    }
    Network(AssetManager(), given[0]).use { network ->
        val result = Harmonizer(network, given[1].toInt()).harmonize(read(given[5]), read(given[6]), given[2].toFloat())
        val pixels = IntArray(width * height)
        result.getPixels(pixels, 0, width, 0, 0, width, height)
        File(given[7]).writeBytes(ByteArray(3 * pixels.size) { (pixels[it / 3] shr (16 - 8 * (it % 3))).toByte() })
    }
}
