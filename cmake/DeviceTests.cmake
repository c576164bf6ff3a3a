# What the addon does with its GPUs, tested on one that is made up (test/native). Built by their names alone.
if(NOT TARGET freqfusion)
  return()
endif()
set(addon_objects $<TARGET_OBJECTS:freqfusion>)

# The policy by itself, as a program. Compiled again: the addon's objects have Node-API's inline functions in them, by
# way of its precompiled header.
add_executable(freqfusion_device_test EXCLUDE_FROM_ALL test/native/device_test.cc
  native/node/allocator.cc native/node/device_stream.cc native/node/graph_cache.cc native/node/transfers.cc)
target_link_libraries(freqfusion_device_test PRIVATE freqfusion_modules freqfusion_ops ff::torch)
if(NOT APPLE)
  # libtorch's own OpenMP runtime is found by way of libtorch, as in the addon.
  target_link_options(freqfusion_device_test PRIVATE "-Wl,--copy-dt-needed-entries")
endif()
set_target_properties(freqfusion_device_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")

# The whole addon with that GPU in place of CUDA.
add_library(freqfusion_fake_gpu MODULE EXCLUDE_FROM_ALL test/native/fake_runtime.cc
  "$<FILTER:${addon_objects},EXCLUDE,/node/cuda/|cmake_pch>")
target_link_libraries(freqfusion_fake_gpu PRIVATE freqfusion_modules freqfusion_ops ff::torch)
set_target_properties(freqfusion_fake_gpu PROPERTIES
  PREFIX "" SUFFIX ".node" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
if(APPLE)
  target_link_options(freqfusion_fake_gpu PRIVATE -undefined dynamic_lookup)
else()
  target_link_options(freqfusion_fake_gpu PRIVATE "-Wl,-z,nodelete")
endif()
