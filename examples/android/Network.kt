package org.edgeharmony.example

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/** A LiteRT file of edge-harmony: the picture and the mask at the working size in, a grid of colour transforms out. */
class Network(assets: AssetManager, file: String, accelerator: Accelerator = Accelerator.CPU) : AutoCloseable {
    private val model = CompiledModel.create(assets, file, CompiledModel.Options(accelerator))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    /**
     * Runs the network; one call at a time.
     *
     * @param composite size x size x 3, RGB in 0..1, rows from the top, channels last
     * @param mask size x size, 1 in the foreground
     * @return cells x cells x 12: per cell a 3 x 3 matrix, row by row, then an offset
     */
    @Synchronized
    fun predict(composite: FloatArray, mask: FloatArray): FloatArray {
        inputs[0].writeFloat(composite) // in the file's order: composite, mask
        inputs[1].writeFloat(mask)
        model.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}
