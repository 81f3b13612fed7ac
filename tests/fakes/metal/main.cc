// Runs the kernel of examples/ios for every pixel: main GRID CELLS_WIDE CELLS_HIGH STRENGTH WIDTH HEIGHT RGBA MASK RESULT
#include <fstream>
#include <iterator>
#include <string>

#include "kernel.h"

static std::vector<std::uint8_t> bytes_of(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int main(int, char **given) {
  const std::vector<std::uint8_t> grid = bytes_of(given[1]);
  metal::uint2 size(std::stoul(given[2]), std::stoul(given[3]));
  float strength = std::stof(given[4]);
  const metal::uint width = std::stoul(given[5]), height = std::stoul(given[6]);
  std::vector<std::uint8_t> picture = bytes_of(given[7]), mask = bytes_of(given[8]), result(picture.size());
  using metal::access;
  for (metal::uint y = 0; y < height; ++y)
    for (metal::uint x = 0; x < width; ++x)
      apply(metal::texture2d<float, access::read>{&picture, width, height, 4},
            metal::texture2d<float, access::read>{&mask, width, height, 1},
            metal::texture2d<float, access::write>{&result, width, height, 4},
            reinterpret_cast<const float *>(grid.data()), size, strength, metal::uint2(x, y));
  std::ofstream(given[9], std::ios::binary).write(reinterpret_cast<const char *>(result.data()), result.size());
}
