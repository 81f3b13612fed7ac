// harmonize-RUNTIME FILE COMPOSITE.ppm MASK.pgm RESULT.ppm [STRENGTH [RUNS]]
#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "harmonizer.h"
#include "pnm.h"

int main(int argc, char** argv) try {
  if (argc < 5 || argc > 7) {
    std::cerr << "usage: " << argv[0] << " FILE COMPOSITE.ppm MASK.pgm RESULT.ppm [STRENGTH [RUNS]]\n";
    return 2;
  }
  const float strength = argc > 5 ? std::stof(argv[5]) : 1.0f;
  const int runs = argc > 6 ? std::max(1, std::stoi(argv[6])) : 1;
  const Image picture = read_image(argv[2]), mask = read_image(argv[3]);
  if (picture.channels != 3 || mask.channels != 1 || picture.width != mask.width || picture.height != mask.height) {
    std::cerr << "error: the composite must be RGB (.ppm) and the mask gray (.pgm), both of one size\n";
    return 1;
  }
  const auto network = load(argv[1], 1);
  Image result;
  double fastest = 0;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    result = network->harmonize(picture, mask, strength);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    fastest = run ? std::min(fastest, took.count()) : took.count();
  }
  write_image(argv[4], result);
  std::cout << picture.width << 'x' << picture.height << ", fastest of " << runs << ": " << fastest << " ms\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
