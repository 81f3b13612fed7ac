// Binary PPM (P6) and PGM (P5) files, the simplest format of pictures: https://netpbm.sourceforge.net/doc/ppm.html
#pragma once

#include <cctype>
#include <cstddef>
#include <fstream>
#include <stdexcept>
#include <string>

#include "harmonizer.h"

// A number of the header, after spaces and comments; the one character after it is consumed.
inline std::size_t read_number(std::istream& file) {
  int next = file.get();
  while (std::isspace(next) || next == '#') {
    if (next == '#') {
      std::string comment;
      std::getline(file, comment);
    }
    next = file.get();
  }
  std::size_t number = 0;
  bool any = false;
  for (; std::isdigit(next) && number < 1000000; next = file.get(), any = true) number = 10 * number + (next - '0');
  if (!any || !std::isspace(next)) throw std::runtime_error("the header is damaged");
  return number;
}

// Reads a picture of 8 bits per channel.
inline Image read_image(const std::string& path) {
  try {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("it cannot be opened");
    char kind[2] = {};
    file.read(kind, 2);
    if (kind[0] != 'P' || (kind[1] != '5' && kind[1] != '6')) throw std::runtime_error("it is no binary PPM or PGM file");
    Image image;
    image.channels = kind[1] == '6' ? 3 : 1;
    image.width = read_number(file);
    image.height = read_number(file);
    if (read_number(file) != 255) throw std::runtime_error("it does not have 8 bits per channel");
    if (!image.width || !image.height || image.width > 32768 || image.height > 32768)
      throw std::runtime_error("its sides are not within 1 and 32768 pixels");
    image.pixels.resize(image.height * image.width * image.channels);
    file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
    if (!file) throw std::runtime_error("it is cut off");
    return image;
  } catch (const std::exception& problem) {
    throw std::runtime_error("cannot read " + path + ": " + problem.what());
  }
}

// Writes an RGB picture.
inline void write_image(const std::string& path, const Image& image) {
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << image.width << ' ' << image.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}
