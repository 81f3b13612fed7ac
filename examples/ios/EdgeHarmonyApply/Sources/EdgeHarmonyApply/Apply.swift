import CoreML
import Metal

/// The apply step for packages of a network alone: a grid of affine colour transforms, upsampled and applied to a
/// picture of any size on the GPU.
///
/// Per pixel with colour x in [0, 1] and mask m: y = x + m (A x + t), where the row-major 3x3 matrix A and the offset t
/// come bilinearly from the grid, whose values lie at the centres of its cells. Where m is 0 the pixel does not change.
///
/// https://developer.apple.com/documentation/metal/performing-calculations-on-a-gpu
public final class Apply {
    public enum Failure: Error {
        case noGPU, noMemory
        case grid([Int])
    }

    private let device: MTLDevice
    private let queue: MTLCommandQueue
    private let pipeline: MTLComputePipelineState

    public init(device: MTLDevice? = MTLCreateSystemDefaultDevice()) throws {
        guard let device, let queue = device.makeCommandQueue() else { throw Failure.noGPU }
        let library = try device.makeLibrary(source: Self.source, options: nil)
        guard let function = library.makeFunction(name: "apply") else { throw Failure.noGPU }
        (self.device, self.queue) = (device, queue)
        pipeline = try device.makeComputePipelineState(function: function)
    }

    /// Apply a grid.
    ///
    /// - Parameters:
    ///   - grid: the network's output `transform`, 1 x 12 x h x w, 32-bit floats.
    ///   - picture: `rgba8Unorm` or `bgra8Unorm`, not its sRGB form: the formula is for encoded values.
    ///   - mask: `r8Unorm`, of the picture's size, 1 in the foreground.
    ///   - result: a texture like the picture, writable.
    ///   - strength: 0 to 1.5; 1 is what the network predicts.
    public func callAsFunction(
        _ grid: MLMultiArray, picture: MTLTexture, mask: MTLTexture, result: MTLTexture, strength: Float = 1
    ) async throws {
        let shape = grid.shape.map(\.intValue)
        guard shape.count == 4, shape[0] == 1, shape[1] == 12, grid.dataType == .float32 else {
            throw Failure.grid(shape)
        }
        // Shaped arrays are dense, where a multi-array may have gaps between its rows.
        // https://developer.apple.com/documentation/coreml/mlshapedarray
        let values = MLShapedArray<Float>(grid).scalars
        var size = SIMD2<UInt32>(UInt32(shape[3]), UInt32(shape[2]))
        var strength = strength
        let bytes = values.count * MemoryLayout<Float>.stride
        guard let cells = device.makeBuffer(bytes: values, length: bytes),
            let commands = queue.makeCommandBuffer(), let encoder = commands.makeComputeCommandEncoder()
        else { throw Failure.noMemory }
        encoder.setComputePipelineState(pipeline)
        encoder.setTexture(picture, index: 0)
        encoder.setTexture(mask, index: 1)
        encoder.setTexture(result, index: 2)
        encoder.setBuffer(cells, offset: 0, index: 0)
        encoder.setBytes(&size, length: MemoryLayout.size(ofValue: size), index: 1)
        encoder.setBytes(&strength, length: MemoryLayout.size(ofValue: strength), index: 2)
        let width = pipeline.threadExecutionWidth
        let group = MTLSize(width: width, height: pipeline.maxTotalThreadsPerThreadgroup / width, depth: 1)
        encoder.dispatchThreads(
            MTLSize(width: picture.width, height: picture.height, depth: 1), threadsPerThreadgroup: group)
        encoder.endEncoding()
        await withCheckedContinuation { continuation in
            commands.addCompletedHandler { _ in continuation.resume() }
            commands.commit()
        }
        if let error = commands.error { throw error }
    }

    private static let source = """
        #include <metal_stdlib>
        using namespace metal;

        static float cell(device const float *grid, uint2 size, uint channel, uint2 low, uint2 high, float2 share) {
            device const float *plane = grid + channel * size.x * size.y;
            float above = mix(plane[low.y * size.x + low.x], plane[low.y * size.x + high.x], share.x);
            float below = mix(plane[high.y * size.x + low.x], plane[high.y * size.x + high.x], share.x);
            return mix(above, below, share.y);
        }

        kernel void apply(
            texture2d<float, access::read> picture [[texture(0)]],
            texture2d<float, access::read> mask [[texture(1)]],
            texture2d<float, access::write> result [[texture(2)]],
            device const float *grid [[buffer(0)]],
            constant uint2 &size [[buffer(1)]],
            constant float &strength [[buffer(2)]],
            uint2 at [[thread_position_in_grid]]
        ) {
            float4 colour = picture.read(at);
            float m = mask.read(at).r;
            if (m > 0) {
                float2 shape = float2(picture.get_width(), picture.get_height());
                float2 place = clamp((float2(at) + 0.5) * float2(size) / shape - 0.5, 0.0, float2(size - 1));
                uint2 low = uint2(place), high = min(low + 1, size - 1);
                float2 share = place - float2(low);
                float values[12];
                for (uint channel = 0; channel < 12; ++channel)
                    values[channel] = strength * cell(grid, size, channel, low, high, share);
                float3 x = colour.rgb;
                for (uint channel = 0; channel < 3; ++channel) {
                    float3 row = float3(values[3 * channel], values[3 * channel + 1], values[3 * channel + 2]);
                    colour[channel] = saturate(x[channel] + m * (dot(row, x) + values[9 + channel]));
                }
            }
            result.write(colour, at);
        }
        """
}
