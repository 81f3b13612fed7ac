// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "EdgeHarmonyApply",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "EdgeHarmonyApply", targets: ["EdgeHarmonyApply"])],
    targets: [.target(name: "EdgeHarmonyApply")]
)
