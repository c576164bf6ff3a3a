# The CUDA half of libfreqfusion_ops: kernels for nvcc, glue for the C++ compiler. cmake/Cuda.cmake builds them.
set(cuda "${CMAKE_CURRENT_LIST_DIR}")

set(cuda_kernels
  ${cuda}/carafe.cu
  ${cuda}/kernel_normalizer.cu
  ${cuda}/local_similarity.cu
  ${cuda}/mask_paste.cu
  ${cuda}/nms.cu
  ${cuda}/offset_sampler.cu
  ${cuda}/roi_align.cu)

set(cuda_glue
  ${cuda}/carafe.cpp
  ${cuda}/high_pass.cpp
  ${cuda}/kernel_normalizer.cpp
  ${cuda}/local_similarity.cpp
  ${cuda}/mask_paste.cpp
  ${cuda}/nms.cpp
  ${cuda}/offset_sampler.cpp
  ${cuda}/roi_align.cpp)
