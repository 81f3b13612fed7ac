import CoreGraphics
import SwiftUI

/// A stroke of the brush, in pixels of the picture.
struct Stroke {
    var points: [CGPoint]
    var width: CGFloat
}

/// The picture with the mask over it; dragging paints.
struct MaskCanvas: View {
    let picture: CGImage
    @Binding var strokes: [Stroke]
    let brush: CGFloat

    var body: some View {
        GeometryReader { place in
            let scale = place.size.width / CGFloat(picture.width)
            Canvas { context, size in
                context.draw(Image(decorative: picture, scale: 1), in: CGRect(origin: .zero, size: size))
                context.opacity = 0.5
                for stroke in strokes {
                    context.stroke(
                        path(stroke).applying(CGAffineTransform(scaleX: scale, y: scale)), with: .color(.red),
                        style: StrokeStyle(lineWidth: stroke.width * scale, lineCap: .round, lineJoin: .round))
                }
            }
            // https://developer.apple.com/documentation/swiftui/draggesture
            .gesture(
                DragGesture(minimumDistance: 0)
                    .onChanged { drag in
                        let point = CGPoint(x: drag.location.x / scale, y: drag.location.y / scale)
                        if drag.translation == .zero || strokes.isEmpty {
                            strokes.append(Stroke(points: [point], width: brush / scale))
                        } else {
                            strokes[strokes.count - 1].points.append(point)
                        }
                    }
            )
        }
        .aspectRatio(CGFloat(picture.width) / CGFloat(picture.height), contentMode: .fit)
        .accessibilityLabel("Picture. Drag over the foreground to paint the mask.")
    }
}

/// The mask as a picture: white strokes on black, as large as the picture they were painted on.
func drawnMask(_ strokes: [Stroke], width: Int, height: Int) -> CGImage? {
    // https://developer.apple.com/documentation/coregraphics/cgcontext
    guard
        let context = CGContext(
            data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 0,
            space: CGColorSpaceCreateDeviceGray(), bitmapInfo: CGImageAlphaInfo.none.rawValue)
    else { return nil }
    context.setFillColor(gray: 0, alpha: 1)
    context.fill(CGRect(x: 0, y: 0, width: width, height: height))
    context.translateBy(x: 0, y: CGFloat(height))  // Core Graphics counts rows from the bottom
    context.scaleBy(x: 1, y: -1)
    context.setStrokeColor(gray: 1, alpha: 1)
    context.setLineCap(.round)
    context.setLineJoin(.round)
    for stroke in strokes {
        context.setLineWidth(stroke.width)
        context.addPath(path(stroke).cgPath)
        context.strokePath()
    }
    return context.makeImage()
}

private func path(_ stroke: Stroke) -> Path {
    Path { path in
        guard let first = stroke.points.first else { return }
        path.move(to: first)
        path.addLine(to: first)  // a tap is a dot
        stroke.points.dropFirst().forEach { path.addLine(to: $0) }
    }
}
