// A file that holds a whole pipeline, in one of the runtimes: 8-bit pictures in and out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// Pixels row by row: three channels (RGB) for a picture, one for a mask (255 in the foreground).
struct Image {
  std::size_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

class Harmonizer {
 public:
  virtual ~Harmonizer() = default;

  // The picture in new colours; outside the mask it is unchanged. The mask has the picture's size, which is at least the
  // network's working size. A strength of 1 is what the network predicts, 0 leaves the picture as it is.
  virtual Image harmonize(const Image& picture, const Image& mask, float strength) = 0;
};

// Loads a file with `threads` threads; throws std::exception. Each runtime's source file defines it.
std::unique_ptr<Harmonizer> load(const std::string& path, int threads);
