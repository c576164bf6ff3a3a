#pragma once

#include <cstdint>

// Loops over the classes of one pixel, or over a row of pixels with their classes, compiled for several instruction
// sets where the compiler can choose between them when the library is loaded.
namespace freqfusion::class_vectors {

// out[i] += weight * in[i]
void add_scaled(float* out, const float* in, float weight, int64_t length);
// out[i] = weight * in[i]
void set_scaled(float* out, const float* in, float weight, int64_t length);
// The first index of the greatest value.
int64_t argmax(const float* values, int64_t length);
// values = softmax(values); exact to about 2 units in the last place.
void softmax(float* values, int64_t length);

}  // namespace freqfusion::class_vectors
