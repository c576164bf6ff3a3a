# The CUDA kernels of libfreqfusion_ops, and the addon's files that call CUDA, where libtorch has CUDA and nvcc is found. nvcc is called directly: the kernels
# see no libtorch header, and neither CMake's CUDA language nor Caffe2's package, which both want a full toolkit, is used.
include(native/ops/cuda/sources.cmake)
include(native/node/cuda/sources.cmake)

# The bodies of the CUDA kernels in a loop over blocks and threads, registered for the CPU in place of the CPU kernels:
# what tests their index arithmetic where there is no GPU. Built by its name alone.
add_library(freqfusion_ops_cuda_on_cpu SHARED EXCLUDE_FROM_ALL ${cuda_glue} ${cuda_kernels}
  "$<FILTER:$<TARGET_OBJECTS:freqfusion_ops>,EXCLUDE,/ops/cpu/(carafe|conv_mlp|group_norm|high_pass|kernel_normalizer|kernel_predictor|local_similarity|mask_paste|nmf|nms|offset_sampler|pointwise_conv|roi_align|roi_extractor|row_conv|sampling_offset|strip_convs)[.]cpp|/ops/cuda/|cmake_pch>")
foreach(isa IN LISTS isa_names)
  target_sources(freqfusion_ops_cuda_on_cpu PRIVATE $<TARGET_OBJECTS:freqfusion_ops_${isa}>)
endforeach()
set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
target_compile_definitions(freqfusion_ops_cuda_on_cpu PRIVATE FREQFUSION_CUDA_ON_CPU)
target_include_directories(freqfusion_ops_cuda_on_cpu PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(freqfusion_ops_cuda_on_cpu PRIVATE ff::torch)
set_target_properties(freqfusion_ops_cuda_on_cpu PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")

if(EXISTS "${FREQFUSION_TORCH}/lib/libc10_cuda.so")
  set(torch_has_cuda ON)
else()
  set(torch_has_cuda OFF)
endif()
option(FREQFUSION_CUDA "Build the CUDA kernels" ${torch_has_cuda})
if(NOT FREQFUSION_CUDA)
  return()
endif()
if(NOT torch_has_cuda)
  message(FATAL_ERROR "FREQFUSION_CUDA: the libtorch in ${FREQFUSION_TORCH} has no CUDA (lib/libc10_cuda.so)")
endif()

find_program(FREQFUSION_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
if(NOT FREQFUSION_NVCC)
  message(WARNING "libtorch has CUDA, but there is no nvcc on PATH, in CUDA_HOME or in /usr/local/cuda: the operators are built for the CPU alone")
  return()
endif()

# Where nvcc's own toolkit lies: its path may be that of a link or of a wrapper.
execute_process(COMMAND "${FREQFUSION_NVCC}" --dryrun -c x.cu ERROR_VARIABLE nvcc_words OUTPUT_QUIET)
string(REGEX MATCH "TOP=([^\n]+)" toolkit "${nvcc_words}")
get_filename_component(toolkit "${CMAKE_MATCH_1}" ABSOLUTE)
find_path(FREQFUSION_CUDA_INCLUDE cuda_runtime_api.h NO_DEFAULT_PATH
  HINTS "${toolkit}/include" "${toolkit}/targets/x86_64-linux/include" "$ENV{CUDA_HOME}/include" /usr/local/cuda/include)
find_library(FREQFUSION_CUDART_STATIC cudart_static NO_DEFAULT_PATH
  HINTS "${toolkit}/lib64" "${toolkit}/lib" "${toolkit}/targets/x86_64-linux/lib" "$ENV{CUDA_HOME}/lib64" /usr/local/cuda/lib64)
if(NOT FREQFUSION_CUDA_INCLUDE OR NOT FREQFUSION_CUDART_STATIC)
  message(FATAL_ERROR "nvcc is ${FREQFUSION_NVCC}, but cuda_runtime_api.h or libcudart_static.a was not found in ${toolkit}: set CUDA_HOME")
endif()

set(FREQFUSION_CUDA_ARCHS "80;86;89;90" CACHE STRING "GPU architectures; the last is kept as PTX for newer ones, too")
set(gencodes)
foreach(arch IN LISTS FREQFUSION_CUDA_ARCHS)
  list(APPEND gencodes "-gencode=arch=compute_${arch},code=sm_${arch}")
  set(last "${arch}")
endforeach()
list(APPEND gencodes "-gencode=arch=compute_${last},code=compute_${last}")
message(STATUS "CUDA kernels for ${FREQFUSION_CUDA_ARCHS} with ${FREQFUSION_NVCC}")

foreach(source IN LISTS cuda_kernels)
  get_filename_component(name "${source}" NAME)
  set(object "${CMAKE_BINARY_DIR}/cuda/${name}.o")
  add_custom_command(OUTPUT "${object}"
    COMMAND "${FREQFUSION_NVCC}" -std=c++17 -O3 ${gencodes} -Xfatbin -compress-all -Xcompiler -fPIC,-fvisibility=hidden
            "-I${CMAKE_CURRENT_SOURCE_DIR}" -MD -MF "${object}.d" -c "${source}" -o "${object}"
    DEPENDS "${source}" DEPFILE "${object}.d" COMMENT "Compiling ${name} with nvcc" VERBATIM)
  target_sources(freqfusion_ops PRIVATE "${object}")
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
endforeach()
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/cuda")
target_sources(freqfusion_ops PRIVATE ${cuda_glue})
set(cuda_targets freqfusion_ops)
if(TARGET freqfusion)
  list(APPEND cuda_targets freqfusion)
  target_sources(freqfusion PRIVATE ${node_cuda_sources})
  set_source_files_properties("${node_cuda}/absent.cc" PROPERTIES HEADER_FILE_ONLY ON)
endif()
foreach(target IN LISTS cuda_targets)
  target_include_directories(${target} SYSTEM PRIVATE "${FREQFUSION_CUDA_INCLUDE}")
  target_link_libraries(${target} PRIVATE
    "${FREQFUSION_TORCH}/lib/libtorch_cuda.so" "${FREQFUSION_TORCH}/lib/libc10_cuda.so" "${FREQFUSION_CUDART_STATIC}" dl rt pthread)
  # The runtime inside is each library's own affair: libtorch has another.
  target_link_options(${target} PRIVATE "-Wl,--exclude-libs,libcudart_static.a")
endforeach()
