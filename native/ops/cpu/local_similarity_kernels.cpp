#include "native/ops/cpu/local_similarity_kernels.h"

#include "native/ops/cpu/local_similarity_pixels.h"
#include "native/ops/cpu/local_similarity_planes.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

void local_similarity_planes(const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) {
    similarity::forward_planes<decltype(storage)>(args, Scratch{static_cast<char*>(scratch)}, begin, end);
  });
}

void local_similarity_backward_planes(const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) {
    similarity::backward_planes<decltype(storage)>(args, Scratch{static_cast<char*>(scratch)}, begin, end);
  });
}

void local_similarity_pixels(const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) {
    similarity::forward_pixels<decltype(storage)>(args, Scratch{static_cast<char*>(scratch)}, begin, end);
  });
}

void local_similarity_backward_pixels(const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) {
    similarity::backward_pixels<decltype(storage)>(args, Scratch{static_cast<char*>(scratch)}, begin, end);
  });
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
