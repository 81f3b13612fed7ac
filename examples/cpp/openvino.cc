// A whole pipeline in OpenVINO, https://docs.openvino.ai: an ONNX file of a target of CPUs.
#include <openvino/openvino.hpp>

#include "harmonizer.h"

namespace {

class OpenVinoHarmonizer : public Harmonizer {
 public:
  OpenVinoHarmonizer(const std::string& path, int threads) {
    // By default some CPUs compute float layers in bfloat16, whose results differ by several levels.
    ov::CompiledModel model = ov::Core().compile_model(path, "CPU", ov::inference_num_threads(threads), ov::num_streams(1),
                                                       ov::hint::inference_precision(ov::element::f32));
    request_ = model.create_infer_request();
  }

  Image harmonize(const Image& picture, const Image& mask, float strength) override {
    auto bytes = [](const Image& image) { return const_cast<std::uint8_t*>(image.pixels.data()); };  // it only reads them
    request_.set_tensor("picture", ov::Tensor(ov::element::u8, {picture.height, picture.width, 3}, bytes(picture)));
    request_.set_tensor("mask", ov::Tensor(ov::element::u8, {mask.height, mask.width}, bytes(mask)));
    request_.set_tensor("strength", ov::Tensor(ov::element::f32, {}, &strength));
    request_.infer();
    Image result = picture;
    const auto* harmonized = request_.get_tensor("harmonized").data<std::uint8_t>();
    result.pixels.assign(harmonized, harmonized + picture.pixels.size());
    return result;
  }

 private:
  ov::InferRequest request_;
};

}  // namespace

std::unique_ptr<Harmonizer> load(const std::string& path, int threads) {
  return std::make_unique<OpenVinoHarmonizer>(path, threads);
}
