// A whole pipeline in ONNX Runtime, https://onnxruntime.ai/docs/api/c: an ONNX file of a target of CPUs.
#include <onnxruntime_cxx_api.h>

#include <array>

#include "harmonizer.h"

namespace {

class OnnxRuntimeHarmonizer : public Harmonizer {
 public:
  OnnxRuntimeHarmonizer(const std::string& path, int threads) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    // CPUs without VNNI saturate sums of unsigned by signed products; with this option the results are exact there, too.
    // With VNNI they are exact without it, and in much less time.
#if defined(__x86_64__) && defined(__GNUC__)
    if (!__builtin_cpu_supports("avx512vnni"))
#endif
      options.AddConfigEntry("session.x64quantprecision", "1");
    session_ = Ort::Session(environment_, path.c_str(), options);  // on Windows the path is a wide string
  }

  Image harmonize(const Image& picture, const Image& mask, float strength) override {
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto height = static_cast<std::int64_t>(picture.height), width = static_cast<std::int64_t>(picture.width);
    const std::array<std::int64_t, 3> of_picture{height, width, 3};
    const std::array<std::int64_t, 2> of_mask{height, width};
    auto bytes = [](const Image& image) { return const_cast<std::uint8_t*>(image.pixels.data()); };  // it only reads them
    std::array<Ort::Value, 3> inputs{
        Ort::Value::CreateTensor<std::uint8_t>(memory, bytes(picture), picture.pixels.size(), of_picture.data(), 3),
        Ort::Value::CreateTensor<std::uint8_t>(memory, bytes(mask), mask.pixels.size(), of_mask.data(), 2),
        Ort::Value::CreateTensor<float>(memory, &strength, 1, nullptr, 0)};
    const char* fed[] = {"picture", "mask", "strength"};
    const char* wanted[] = {"harmonized"};
    auto outputs = session_.Run(Ort::RunOptions{nullptr}, fed, inputs.data(), inputs.size(), wanted, 1);
    Image result = picture;
    const auto* harmonized = outputs[0].GetTensorData<std::uint8_t>();
    result.pixels.assign(harmonized, harmonized + picture.pixels.size());
    return result;
  }

 private:
  Ort::Env environment_{ORT_LOGGING_LEVEL_ERROR, "edge-harmony"};
  Ort::Session session_{nullptr};
};

}  // namespace

std::unique_ptr<Harmonizer> load(const std::string& path, int threads) {
  return std::make_unique<OnnxRuntimeHarmonizer>(path, threads);
}
