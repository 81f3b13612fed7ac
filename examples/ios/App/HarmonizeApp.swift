import PhotosUI
import SwiftUI

@main
struct HarmonizeApp: App {
    var body: some Scene {
        WindowGroup { HarmonizeView() }
    }
}

/// Choose a picture, paint the foreground, harmonize it.
struct HarmonizeView: View {
    @State private var chosen: PhotosPickerItem?
    @State private var photo: Photo?
    @State private var shown: CGImage?
    @State private var result: CGImage?
    @State private var strokes: [Stroke] = []
    @State private var strength: Float = 1
    @State private var brush: CGFloat = 30
    @State private var harmonizer: Harmonizer?
    @State private var problem: String?
    @State private var working = false

    var body: some View {
        VStack(spacing: 16) {
            // https://developer.apple.com/documentation/photosui/photospicker
            PhotosPicker("Choose a picture", selection: $chosen, matching: .images)
            if let result {
                Image(decorative: result, scale: 1).resizable().scaledToFit()
                Button("Paint again") { self.result = nil }
                ShareLink(
                    item: Image(decorative: result, scale: 1),
                    preview: SharePreview("Harmonized", image: Image(decorative: result, scale: 1)))
            } else if let shown {
                MaskCanvas(picture: shown, strokes: $strokes, brush: brush)
                LabeledContent("Brush") { Slider(value: $brush, in: 8...80) }
                LabeledContent("Strength") { Slider(value: $strength, in: 0...1.5) }
                HStack {
                    Button("Undo") { _ = strokes.popLast() }.disabled(strokes.isEmpty)
                    Spacer()
                    Button("Harmonize") { Task { await harmonize() } }
                        .disabled(strokes.isEmpty || working || harmonizer == nil)
                        .buttonStyle(.borderedProminent)
                }
            }
            if working { ProgressView() }
            if let problem { Text(problem).foregroundStyle(.red) }
        }
        .padding()
        .task {
            do { harmonizer = try await Harmonizer() } catch { problem = "The model cannot be loaded: \(error)" }
        }
        .onChange(of: chosen) { Task { await open() } }
    }

    private func open() async {
        do {
            // https://developer.apple.com/documentation/photosui/photospickeritem/loadtransferable(type:)
            guard let data = try await chosen?.loadTransferable(type: Data.self) else { return }
            let opened = try Photo(data: data)
            (photo, shown, result, strokes, problem) = (opened, opened.cgImage(), nil, [], nil)
        } catch {
            problem = "The picture cannot be read: \(error)"
        }
    }

    private func harmonize() async {
        guard let photo, let harmonizer,
            let mask = drawnMask(strokes, width: Int(photo.size.width), height: Int(photo.size.height))
        else { return }
        working = true
        defer { working = false }
        do {
            result = try await harmonizer.harmonize(photo, mask: Photo(levels: mask), strength: strength).cgImage()
        } catch {
            problem = "The picture cannot be harmonized: \(error)"
        }
    }
}
