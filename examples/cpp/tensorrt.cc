// A whole pipeline in TensorRT 10, https://docs.nvidia.com/deeplearning/tensorrt: an engine that edge-harmony has built.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>

#include "harmonizer.h"

namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

class Logger : public nvinfer1::ILogger {
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kWARNING) std::cerr << message << '\n';
  }
};

// Memory of the GPU that grows with the pictures and is freed at the end.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { cudaFree(memory_); }

  void* at_least(std::size_t bytes) {
    if (bytes > size_) {
      check(cudaFree(memory_));
      memory_ = nullptr;
      check(cudaMalloc(&memory_, bytes));
      size_ = bytes;
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

class TensorRTHarmonizer : public Harmonizer {
 public:
  explicit TensorRTHarmonizer(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> plan{std::istreambuf_iterator<char>(file), {}};
    runtime_.reset(nvinfer1::createInferRuntime(logger_));
    engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine_) throw std::runtime_error(path + " does not fit this GPU or this TensorRT; build it here");
    context_.reset(engine_->createExecutionContext());
    check(cudaStreamCreate(&stream_));
  }
  ~TensorRTHarmonizer() override { cudaStreamDestroy(stream_); }

  Image harmonize(const Image& picture, const Image& mask, float strength) override {
    const auto height = static_cast<std::int64_t>(picture.height), width = static_cast<std::int64_t>(picture.width);
    feed("picture", nvinfer1::Dims{3, {height, width, 3}}, picture.pixels.data(), picture.pixels.size());
    feed("mask", nvinfer1::Dims{2, {height, width}}, mask.pixels.data(), mask.pixels.size());
    feed("strength", nvinfer1::Dims{0, {}}, &strength, sizeof strength);
    Image result = picture;
    void* harmonized = buffers_["harmonized"].at_least(result.pixels.size());
    if (!context_->setTensorAddress("harmonized", harmonized) || !context_->enqueueV3(stream_))
      throw std::runtime_error("TensorRT did not run the engine");
    check(cudaMemcpyAsync(result.pixels.data(), harmonized, result.pixels.size(), cudaMemcpyDeviceToHost, stream_));
    check(cudaStreamSynchronize(stream_));
    return result;
  }

 private:
  void feed(const char* name, const nvinfer1::Dims& shape, const void* data, std::size_t bytes) {
    void* memory = buffers_[name].at_least(bytes);
    check(cudaMemcpyAsync(memory, data, bytes, cudaMemcpyHostToDevice, stream_));
    if (!context_->setInputShape(name, shape) || !context_->setTensorAddress(name, memory))
      throw std::runtime_error(std::string("the engine does not take this ") + name);
  }

  Logger logger_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::map<std::string, Buffer> buffers_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Harmonizer> load(const std::string& path, int) { return std::make_unique<TensorRTHarmonizer>(path); }
