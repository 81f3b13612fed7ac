import CoreGraphics
import CoreImage
import CoreVideo
import Foundation
import ImageIO

/// A picture in memory, upright and in sRGB; or a mask.
struct Photo: @unchecked Sendable {  // CIImage and CGColorSpace are immutable
    enum Failure: Error {
        case unreadable, noMemory
    }

    /// The longer side at most: the limit of a package for all sizes.
    static let longest = 4096
    /// The shorter side at least: the working size of the network.
    static let shortest = 160

    private static let sRGB = CGColorSpace(name: CGColorSpace.sRGB)!
    /// Without a working colour space Core Image hands levels on as they are.
    private static let context = CIContext(options: [.workingColorSpace: NSNull(), .cacheIntermediates: false])

    let image: CIImage

    var size: CGSize { image.extent.size }

    /// Decode a file, turn it upright, and fit it between the smallest and the largest size.
    ///
    /// ImageIO decodes at the size that is wanted, so that a photograph of 48 megapixels never is in memory in full.
    /// https://developer.apple.com/documentation/imageio/cgimagesourcecreatethumbnailatindex(_:_:_:)
    init(data: Data) throws {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,  // upright
            kCGImageSourceThumbnailMaxPixelSize: Self.longest,
        ]
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let decoded = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else { throw Failure.unreadable }
        try self.init(converting: decoded)
    }

    /// A picture of any colour space, drawn into sRGB, and enlarged if it is smaller than the working size.
    ///
    /// https://developer.apple.com/documentation/coregraphics/cgcontext/draw(_:in:bytiling:)
    private init(converting decoded: CGImage) throws {
        let factor = max(1, CGFloat(Self.shortest) / CGFloat(min(decoded.width, decoded.height)))
        let size = CGRect(
            x: 0, y: 0, width: (CGFloat(decoded.width) * factor).rounded(.up),
            height: (CGFloat(decoded.height) * factor).rounded(.up))
        let layout = CGImageAlphaInfo.noneSkipLast.rawValue
        guard
            let canvas = CGContext(
                data: nil, width: Int(size.width), height: Int(size.height), bitsPerComponent: 8, bytesPerRow: 0,
                space: Self.sRGB, bitmapInfo: layout)
        else { throw Failure.noMemory }
        canvas.interpolationQuality = .high
        canvas.draw(decoded, in: size)
        guard let drawn = canvas.makeImage() else { throw Failure.noMemory }
        self.init(levels: drawn)
    }

    /// A picture whose levels are taken as they are: a mask, or one in sRGB.
    init(levels: CGImage) {
        image = CIImage(cgImage: levels, options: [.colorSpace: NSNull()])
    }

    init(pixels: CVPixelBuffer) {
        image = CIImage(cvPixelBuffer: pixels, options: [.colorSpace: NSNull()])
    }

    /// The picture in a format that a package asks for.
    ///
    /// https://developer.apple.com/documentation/coreimage/cicontext/render(_:to:bounds:colorspace:)
    func pixelBuffer(_ format: OSType) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        // Surfaces are shared with the neural engine without a copy.
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
        CVPixelBufferCreate(nil, Int(size.width), Int(size.height), format, attributes, &made)
        guard let buffer = made else { throw Failure.noMemory }
        Self.context.render(image, to: buffer, bounds: image.extent, colorSpace: nil)
        return buffer
    }

    /// For the screen and for files.
    func cgImage() -> CGImage? {
        Self.context.createCGImage(image, from: image.extent, format: .RGBA8, colorSpace: Self.sRGB)
    }
}
