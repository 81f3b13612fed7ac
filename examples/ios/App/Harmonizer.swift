import CoreML
import CoreVideo

/// The whole pipeline in a Core ML package: picture and mask in, the harmonized picture out.
///
/// An actor, so that one prediction runs at a time and none on the main thread.
actor Harmonizer {
    enum Failure: Error {
        case missing, unexpected
    }

    private let model: MLModel
    /// Pixel formats that the package asks for, by the name of the input.
    private let formats: [String: OSType]

    /// Load the compiled package from the app's bundle.
    ///
    /// https://developer.apple.com/documentation/coreml/mlmodel/load(contentsof:configuration:)
    init(named name: String = "Harmonizer") async throws {
        guard let url = Bundle.main.url(forResource: name, withExtension: "mlmodelc") else {
            throw Failure.missing
        }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = .all
        // A package for several sizes of pictures has a function for each (iOS 18):
        // configuration.functionName = "h3024w4032"
        model = try await MLModel.load(contentsOf: url, configuration: configuration)
        // https://developer.apple.com/documentation/coreml/mlimageconstraint
        formats = model.modelDescription.inputDescriptionsByName.compactMapValues {
            $0.imageConstraint?.pixelFormatType
        }
    }

    /// Harmonize a picture.
    ///
    /// - Parameters:
    ///   - photo: upright, in sRGB, at least as large as the working size.
    ///   - mask: as large as the photo; white in the foreground, soft edges blend.
    ///   - strength: 0 leaves the picture as it is, 1 is what the network predicts, up to 1.5.
    func harmonize(_ photo: Photo, mask: Photo, strength: Float) async throws -> Photo {
        guard let pictureFormat = formats["picture"], let maskFormat = formats["mask"] else {
            throw Failure.unexpected
        }
        let inputs: [String: MLFeatureValue] = [
            "picture": MLFeatureValue(pixelBuffer: try photo.pixelBuffer(pictureFormat)),
            "mask": MLFeatureValue(pixelBuffer: try mask.pixelBuffer(maskFormat)),
            "strength": MLFeatureValue(multiArray: try MLMultiArray([strength])),
        ]
        // https://developer.apple.com/documentation/coreml/mlmodel/prediction(from:options:)
        let result = try await model.prediction(
            from: MLDictionaryFeatureProvider(dictionary: inputs), options: MLPredictionOptions())
        guard let pixels = result.featureValue(for: "harmonized")?.imageBufferValue else {
            throw Failure.unexpected
        }
        return Photo(pixels: pixels)
    }
}
