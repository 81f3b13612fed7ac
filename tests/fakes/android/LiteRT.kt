// A stand-in for LiteRT: it writes what a network is given to FILE.0 and FILE.1, and returns the grid in FILE.
// https://developers.google.com/edge/litert/next/android_kotlin
package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

enum class Accelerator { CPU, GPU, NPU }

class TensorBuffer : AutoCloseable {
    private var values = FloatArray(0)

    fun writeFloat(data: FloatArray) { values = data.copyOf() }

    fun readFloat(): FloatArray = values.copyOf()

    override fun close() {}
}

class CompiledModel private constructor(private val file: File) : AutoCloseable {
    @Suppress("unused")
    class Options(vararg val accelerators: Accelerator)

    fun createInputBuffers(): List<TensorBuffer> = List(2) { TensorBuffer() }

    fun createOutputBuffers(): List<TensorBuffer> = List(1) { TensorBuffer() }

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>) {
        inputs.forEachIndexed { k, input -> File("${file.path}.$k").writeBytes(toBytes(input.readFloat())) }
        val grid = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        outputs[0].writeFloat(FloatArray(grid.remaining()) { grid.get(it) })
    }

    override fun close() {}

    companion object {
        @Suppress("UNUSED_PARAMETER")
        fun create(assets: AssetManager, file: String, options: Options) = CompiledModel(File(file))

        private fun toBytes(values: FloatArray): ByteArray {
            val bytes = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
            values.forEach(bytes::putFloat)
            return bytes.array()
        }
    }
}
